"""The composition root: settings, servers, launcher, agent and command line."""
