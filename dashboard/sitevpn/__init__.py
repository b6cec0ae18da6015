"""Site-to-site VPN: local subnets, third-party peers, and the EngineConfig that follows."""
