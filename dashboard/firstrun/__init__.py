"""From the claim to the first tunnel, step by step."""
