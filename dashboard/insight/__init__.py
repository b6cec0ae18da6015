"""What tunnels are doing, why one is not up, and what to change."""
