"""The API at /api/v1, and its keys."""
