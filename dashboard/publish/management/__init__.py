"""Management commands about configuration and its secrets."""
