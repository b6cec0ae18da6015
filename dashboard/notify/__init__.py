"""Telling people and other systems: alerts by e-mail and webhook, events to syslog servers."""
