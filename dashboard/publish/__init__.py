"""Revisions on their way to the engine."""
