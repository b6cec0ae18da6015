"""Ping and traceroute from the appliance, asked for on a page and run by a worker."""
