"""What strongSwan's userspace ESP needs for its best: buffers as large as ours.

charon asks for no buffers of its own. With the system's 208 KB for a UDP socket and 500 packets before its device it
loses what comes in a burst while its threads wait for each other, and TCP through it falls to less than half. An
administrator raises ``net.core.rmem_default``; here the sockets of one process are raised, the host stays as it is.
"""

from __future__ import annotations

import ctypes
import os
import socket
from contextlib import suppress
from pathlib import Path

from appliance.bench.stack import BenchError
from lab.net import Namespace
from lab.strongswan import StrongSwan
from vpnengine.dataplane.routes import QUEUE
from vpnengine.dataplane.udp import BUFFER

_DEVICE = "ipsec0"
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33  # asm-generic/socket.h
_PIDFD_GETFD = 438  # the same number on every architecture
_libc = ctypes.CDLL(None, use_errno=True)


def tune(namespace: Namespace, daemon: StrongSwan) -> None:
    """Give charon's sockets and its device what our own data paths give to theirs.

    :raises BenchError: if that is not possible, because the comparison would not be fair.
    """
    if not widen(daemon.pid, BUFFER):
        raise BenchError("strongSwan has no UDP socket whose buffers could be raised")
    namespace.run("ip", "link", "set", _DEVICE, "txqueuelen", str(QUEUE))


def widen(pid: int, octets: int) -> int:
    """Raise the buffers of a process's UDP sockets; how many sockets it has.

    :raises BenchError: with the system's words, if it does not let us.
    """
    count = 0
    process = os.pidfd_open(pid)
    try:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):
                if os.readlink(entry).startswith("socket:"):
                    count += _widen(process, int(entry.name), octets)
    finally:
        os.close(process)
    return count


def _widen(process: int, number: int, octets: int) -> bool:
    """True for a UDP socket, whose buffers are raised."""
    own = _libc.syscall(_PIDFD_GETFD, process, number, 0)
    if own < 0:
        raise BenchError(f"the sockets of strongSwan cannot be had: {os.strerror(ctypes.get_errno())}")
    with socket.socket(fileno=own) as sock:
        if sock.type != socket.SOCK_DGRAM or sock.family not in (socket.AF_INET, socket.AF_INET6):
            return False
        for option in (_SO_RCVBUFFORCE, _SO_SNDBUFFORCE):
            sock.setsockopt(socket.SOL_SOCKET, option, octets)
        return True
