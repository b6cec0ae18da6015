"""The software of the bootable appliance: its networks, its console, its certificate (docs/box.md)."""
