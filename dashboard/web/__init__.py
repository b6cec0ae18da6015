"""Templates, styles and vendored front-end files."""
