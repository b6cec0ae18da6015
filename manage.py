#!/usr/bin/env python3
"""Entry point of every command: our own ones, and Django's."""

import sys

from appliance.cli.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
