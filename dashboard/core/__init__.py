"""What the apps share: keyring, security headers, the Redis connection."""
