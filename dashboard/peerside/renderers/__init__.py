"""One module per family of gateways: how it writes what the other side must have."""
