"""Template tags about roles."""
