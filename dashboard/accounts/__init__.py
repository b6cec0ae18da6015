"""Administrators: sign-in and the first claim."""
