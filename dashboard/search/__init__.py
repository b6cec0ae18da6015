"""Search over everything that an organization has: one box, the right page."""
