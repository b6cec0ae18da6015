"""Suites, Diffie-Hellman, PRF and secrets: the only room that imports ``cryptography``."""
