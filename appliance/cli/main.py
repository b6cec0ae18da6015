"""Dispatch: our own commands run without loading Django, everything else goes to Django."""

from __future__ import annotations

import argparse
import importlib
import os
import sys

COMMANDS = ("up", "engine", "ctl", "lab", "interop", "check", "test", "bench", "fuzz", "agent", "writer", "notifier")


def main(arguments: list[str]) -> int:
    """Run one command and return its exit code: 0 done, 1 refused or failed, 2 wrong use."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "appliance.settings")
    name = arguments[0] if arguments else "help"
    if name not in COMMANDS:
        from django.core.management import execute_from_command_line

        execute_from_command_line(["culvert", *arguments])
        return 0
    module = importlib.import_module(f"appliance.cli.{name}")
    parser = argparse.ArgumentParser(prog=f"./culvert {name}", description=module.HELP)
    module.add_arguments(parser)
    options = parser.parse_args(arguments[1:])
    try:
        return int(module.run(options))
    except BrokenPipeError:
        # The reader has seen enough; keep the interpreter from complaining about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


def fail(message: str) -> int:
    """One sentence on standard error; the exit code of refusals."""
    print(f"culvert: {message}", file=sys.stderr)
    return 1
