"""Subnets as people type them, and what is said to them."""

from __future__ import annotations

import ipaddress

from django.core.exceptions import ValidationError

MAX_SUBNETS = 256


def parse_subnets(text: str) -> list[str]:
    """One subnet a line.

    :raises ValidationError: naming each line that is none.
    """
    found: list[str] = []
    errors = []
    lines = [(n, line.strip()) for n, line in enumerate(text.replace(",", "\n").splitlines(), 1) if line.strip()]
    for number, line in lines[: MAX_SUBNETS + 1]:
        try:
            found.append(str(ipaddress.ip_network(line)))
        except ValueError:
            errors.append(f"Line {number}: {_why(line)}")
    if len(lines) > MAX_SUBNETS:
        errors.append(f"{len(lines)} subnets are too many; at most {MAX_SUBNETS} are allowed.")
    if errors:
        raise ValidationError(errors)
    return found


def _why(line: str) -> str:
    shown = line if len(line) <= 60 else line[:60] + "…"
    try:
        meant = ipaddress.ip_network(line, strict=False)
    except ValueError:
        return f"“{shown}” is not a subnet; write it like 10.1.0.0/24."
    return f"“{shown}” has host bits set; the subnet is {meant}."


def sentence(message: str) -> str:
    """A message of the engine as a page shows it."""
    return message[:1].upper() + message[1:].rstrip(".") + "."
