"""``manage.py agent``: events and status from the engine to Redis."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging

HELP = "Carry events and status from the engine to the dashboard (started by ./culvert up)."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No options."""


def run(options: argparse.Namespace) -> int:
    """Run until it is stopped."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    from appliance.agent import Agent

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(Agent))
    return 0


async def _serve(agent: type) -> None:
    await agent().run()
