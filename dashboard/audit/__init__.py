"""The change log: who has changed what, when, and from where."""
