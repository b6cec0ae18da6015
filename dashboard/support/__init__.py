"""The support bundle: what somebody else needs to help with a site, without its secrets."""
