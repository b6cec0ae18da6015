"""The rows of the event catalogue, by subject."""
