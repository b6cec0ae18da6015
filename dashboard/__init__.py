"""What an administrator sees: Django apps, one per subject, with the same file names in each."""
