"""Management commands about administrators."""
