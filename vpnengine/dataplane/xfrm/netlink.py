"""The two sockets to the kernel: one for requests, which it carries out before ``send`` returns, one for its events.

pyroute2's own sockets run an event loop each, so these are plain ones with its messages.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from vpnengine.dataplane.base import DataPlaneError
from vpnengine.dataplane.xfrm import messages as m

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_SIZE = 1 << 18
_BATCH = 64  # messages in one datagram: their acknowledgements fit into the receive buffer
_SO_RCVBUFFORCE = 33
_EXT_ACK = 11
_SOL_NETLINK = 270
_NO_KEYS = frozenset({m.ATTRIBUTES["ALG_AUTH"], m.ATTRIBUTES["ALG_CRYPT"], m.ATTRIBUTES["ALG_AEAD"], 20})


class Received(NamedTuple):
    """A message of the kernel: its kind, its structure and, by name, those attributes that hold no keys."""

    kind: int
    body: bytes
    attributes: dict[str, bytes]


class Request(NamedTuple):
    """A message for the kernel, with the flags that its kind needs besides those of every request."""

    kind: int
    body: bytes
    attributes: Sequence[tuple[str, bytes]] = ()
    flags: int = 0


class XfrmError(OSError):
    """The kernel refuses a request; says which and why, never with a key."""


_BODIES = {m.NEWSA: 224, m.UPDSA: 224, m.NEWPOLICY: 168, m.UPDPOLICY: 168, m.NEWAE: 48}
_BODIES |= {m.ACQUIRE: 280, m.EXPIRE: 232, m.MAPPING: 64}
_NAMES = {value: name for name, value in vars(m).items() if name in {"NEWSA", "DELSA", "GETSA", "UPDSA", "ALLOCSPI"}}
_NAMES |= {m.NEWPOLICY: "NEWPOLICY", m.DELPOLICY: "DELPOLICY", m.UPDPOLICY: "UPDPOLICY", m.GETAE: "GETAE"}


def split(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(kind, sequence number, the rest) of each netlink message in a datagram."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, _, sequence, _ = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size or offset + length > len(data):
            return
        yield kind, sequence, data[offset + _HEADER.size : offset + length]
        offset += (length + 3) & ~3


def read(kind: int, payload: bytes) -> Received:
    """Structure and attributes of a message; keys are left where they are."""
    size = _BODIES.get(kind, len(payload))
    attributes: dict[str, bytes] = {}
    offset = size
    while offset + _ATTRIBUTE.size <= len(payload):
        length, number = _ATTRIBUTE.unpack_from(payload, offset)
        if length < _ATTRIBUTE.size:
            break
        if number in m.NUMBERS and number not in _NO_KEYS:
            attributes[m.NUMBERS[number]] = payload[offset + _ATTRIBUTE.size : offset + length]
        offset += (length + 3) & ~3
    return Received(kind, payload[:size], attributes)


class Netlink:
    """The socket for requests."""

    def __init__(self) -> None:
        self._socket = _open(0)
        self._buffer = bytearray(_SIZE)
        self._sequence = 0

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def send(self, request: Request) -> None:
        """Carry out one request.

        :raises XfrmError: if the kernel refuses.
        """
        error = self.send_all([request])[0]
        if error:
            raise XfrmError(error, f"{_NAMES.get(request.kind, request.kind)}: {os.strerror(error)}")

    def send_all(self, requests: Sequence[Request]) -> list[int]:
        """Carry out requests in their order; an error number for each, 0 for success."""
        errors: list[int] = []
        for first in range(0, len(requests), _BATCH):
            errors += self._send_batch(requests[first : first + _BATCH])
        return errors

    def _send_batch(self, requests: Sequence[Request]) -> list[int]:
        start = self._sequence + 1
        data = b"".join(self._encode(request, m.ACK) for request in requests)
        self._socket.send(data)
        errors: dict[int, int] = {}
        while len(errors) < len(requests):
            for kind, sequence, payload in split(self._receive()):
                if kind == m.NLMSG_ERROR and start <= sequence < start + len(requests):
                    errors[sequence] = -struct.unpack_from("=i", payload)[0]
        return [errors[start + index] for index in range(len(requests))]

    def ask(self, request: Request) -> Received:
        """Carry out a request that is answered by a message.

        :raises XfrmError: if the kernel refuses.
        """
        data = self._encode(request, 0)
        self._socket.send(data)
        while True:
            for kind, sequence, payload in split(self._receive()):
                if sequence != self._sequence:
                    continue
                if kind == m.NLMSG_ERROR:
                    error = -struct.unpack_from("=i", payload)[0]
                    raise XfrmError(error, f"{_NAMES.get(request.kind, request.kind)}: {os.strerror(error)}")
                return read(kind, payload)

    def dump(self, kind: int) -> list[Received]:
        """All states (``GETSA``) or policies (``GETPOLICY``)."""
        self._socket.send(self._encode(Request(kind, b"", flags=m.DUMP), 0))
        found: list[Received] = []
        while True:
            for answer, sequence, payload in split(self._receive()):
                if sequence != self._sequence:
                    continue
                if answer == m.NLMSG_DONE:
                    self._forget()
                    return found
                if answer == m.NLMSG_ERROR:
                    error = -struct.unpack_from("=i", payload)[0]
                    raise XfrmError(error, f"a dump of {_NAMES.get(kind, 'policies')}: {os.strerror(error)}")
                found.append(read(answer, payload))

    def _encode(self, request: Request, flags: int) -> bytes:
        self._sequence += 1
        return m.encode(request.kind, m.REQUEST | flags | request.flags, self._sequence, *request[1:3])

    def _receive(self) -> bytes:
        count = self._socket.recv_into(self._buffer)
        return bytes(memoryview(self._buffer)[:count])

    def _forget(self) -> None:
        """A dump of states holds their keys."""
        self._buffer[:] = bytes(len(self._buffer))


class Events:
    """The socket for events; not blocking. ``lost`` is True once the kernel had more to say than we have heard."""

    def __init__(self, groups: int = m.GROUP_ACQUIRE | m.GROUP_EXPIRE | m.GROUP_MAPPING) -> None:
        self._socket = _open(groups)
        self._socket.setblocking(False)

    def fileno(self) -> int:
        """For the event loop."""
        return self._socket.fileno()

    def read(self, most: int = 64) -> tuple[list[Received], bool]:
        """What has happened, and True if some of it is lost."""
        found: list[Received] = []
        lost = False
        for _ in range(most):
            try:
                data = self._socket.recv(_SIZE)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                lost = True
                continue
            found += [read(kind, payload) for kind, _, payload in split(data) if kind in _BODIES]
        return found, lost

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def _open(groups: int) -> socket.socket:
    """:raises DataPlaneError: if this host has no XFRM, or it may not be used."""
    try:
        sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, m.NETLINK_XFRM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 8 << 20)
            sock.bind((0, groups))
        except OSError:
            sock.close()
            raise
    except PermissionError:
        text = "no permission for the kernel's IPsec; run as root, or with the capability NET_ADMIN"
        raise DataPlaneError(text) from None
    except OSError as error:
        raise DataPlaneError(f"this kernel has no IPsec (XFRM): {error.strerror}") from None
    return sock


def errors_of(requests: Iterable[Request], errors: Iterable[int], ignore: frozenset[int] = frozenset()) -> list[str]:
    """Sentences for those requests that were refused."""
    return [
        f"{_NAMES.get(request.kind, request.kind)}: {os.strerror(error)}"
        for request, error in zip(requests, errors, strict=True)
        if error and error not in ignore
    ]
