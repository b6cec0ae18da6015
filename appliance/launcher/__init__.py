"""Starts the parts of an appliance, watches them, stops them (in the image, systemd does this)."""
