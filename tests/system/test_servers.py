"""The whole product on servers of the owner's: a real PostgreSQL and a real Redis."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from appliance.bench.postgres import private
from lab.topology import FAR_HOST, Topology
from tests.stack import Stack, eventually, free_port
from tests.system.test_crashes import populate

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]


@pytest.fixture
def postgres() -> Iterator[str]:
    """The address of a server that lives as long as the test."""
    with private() as url:
        yield url


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[str]:
    """The address of a Redis that lives as long as the test."""
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(10)


def test_a_tunnel_with_servers_of_ones_own(tmp_path: Path, postgres: str, redis: str) -> None:
    with Topology("direct", name=f"p{os.getpid() % 10000}") as topology:
        stack = Stack(tmp_path / "state", topology.site.name, DATABASE_URL=postgres, REDIS_URL=redis)
        stack.start()
        try:
            populate(stack)
            assert eventually(lambda: topology.lan.ping(FAR_HOST, count=1).received, 30), stack.said()
            with psycopg.connect(postgres) as connection:

                def texts() -> list[str]:
                    rows = connection.execute("SELECT body->>'text' FROM eventlog_eventrow ORDER BY seq").fetchall()
                    connection.rollback()
                    return [row[0] for row in rows]

                assert eventually(lambda: sum("IPsec-SA established" in text for text in texts()) >= 2, 20)
                revision = connection.execute("SELECT number, state FROM publish_revision ORDER BY number DESC LIMIT 1")
                assert revision.fetchone() == (2, "applied")
            # Neither of the embedded ones was made.
            assert not stack.state.database.exists() and not stack.state.redis.exists()
            assert not (stack.state.log / "redis.pid").exists()
        finally:
            assert stack.stop() == 0


def test_a_server_that_is_not_there_is_said(tmp_path: Path) -> None:
    address = f"postgres://nobody@127.0.0.1:{free_port()}/nothing"
    stack = Stack(tmp_path / "state", DATABASE_URL=address)
    began = time.monotonic()
    with pytest.raises(AssertionError, match=r"(?s)exit code 1: .*the database cannot be prepared"):
        stack.start()
    assert time.monotonic() - began < 30
