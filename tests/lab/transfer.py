"""A TCP stream between two namespaces."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from lab.net import Namespace

PORT = 5301
_RECEIVE = """
import socket, sys
server = socket.create_server((sys.argv[1], int(sys.argv[2])))
print("ready", flush=True)
server.settimeout(20)
one = server.accept()[0]
one.settimeout(20)
count = 0
while data := one.recv(65536):
    count += len(data)
print(count, flush=True)
"""
_SEND = """
import socket, sys
one = socket.create_connection((sys.argv[1], int(sys.argv[2])), 10)
one.settimeout(20)
one.sendall(bytes(int(sys.argv[3])))
one.shutdown(socket.SHUT_WR)
one.recv(1)
"""


def transfer(source: Namespace, target: Namespace, address: str, octets: int, log: Path) -> int:
    """Send so many octets to ``address`` of ``target``; how many arrived within 20 seconds, 0 if the stream stalled."""
    server = target.spawn(sys.executable, "-c", _RECEIVE, address, str(PORT), log=log)
    try:
        while "ready" not in log.read_text() and server.poll() is None:
            time.sleep(0.05)
        source.run(sys.executable, "-c", _SEND, address, str(PORT), str(octets), check=False, timeout=40)
        server.wait(25)
        words = log.read_text().split()
        return int(words[1]) if words[:1] == ["ready"] and len(words) == 2 else 0
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()
