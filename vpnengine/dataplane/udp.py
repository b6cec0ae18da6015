"""UDP sockets that know which local address a datagram came to, and choose the one it leaves from."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket
import struct

from vpnengine.dataplane.base import DataPlaneError
from vpnengine.esp.sa import Address

MARK = 0xC0DE  # our own outer packets, so that they never enter a tunnel
NON_ESP_MARKER = b"\0\0\0\0"  # RFC 3948 section 2.2
MAX_DATAGRAM = 65_535
_IP_PKTINFO = 8  # linux/in.h; the socket module of Python 3.11 does not name it
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33  # asm-generic/socket.h
BUFFER = 4 << 20  # octets, each way
_CONTROL = socket.CMSG_SPACE(40)


def open_udp_socket(host: str, port: int) -> socket.socket:
    """A non-blocking socket on ``host`` (``0.0.0.0``, ``::`` or one address) and ``port``.

    :raises DataPlaneError: if the port is taken or may not be used; the sentence says what to do.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        _set_options(sock)
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise DataPlaneError(_sentence(error, host, port)) from None
    return sock


def _sentence(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"UDP port {port} is in use by another program; stop that program, or change listen.ike_port and natt_port"
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return (
            f"no permission for UDP port {port}; run as root, or with the capabilities NET_ADMIN and NET_BIND_SERVICE"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is no address of this host; choose one that is, or listen on all addresses"
    return f"cannot listen on UDP port {port}: {error.strerror}"


def _set_options(sock: socket.socket) -> None:
    if sock.family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    for option in (_SO_RCVBUFFORCE, _SO_SNDBUFFORCE):
        sock.setsockopt(socket.SOL_SOCKET, option, BUFFER)
    # Without NET_ADMIN there is no tunnel device either, so there is nothing to stay out of.
    with contextlib.suppress(PermissionError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, MARK)


def receive(sock: socket.socket) -> tuple[bytes, Address, Address]:
    """One datagram with its local and remote address.

    :raises BlockingIOError: if there is none.
    """
    data, control, _, source = sock.recvmsg(MAX_DATAGRAM, _CONTROL)
    port = sock.getsockname()[1]
    return data, Address(_local_host(control), port), Address(_plain(source[0]), source[1])


def _plain(host: str) -> str:
    return host.partition("%")[0]


def _local_host(control: list[tuple[int, int, bytes]]) -> str:
    for level, kind, data in control:
        if level == socket.IPPROTO_IP and kind == _IP_PKTINFO:
            return socket.inet_ntop(socket.AF_INET, data[8:12])
        if level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
            return str(ipaddress.IPv6Address(data[:16]))
    return "0.0.0.0"


def send(sock: socket.socket, data: bytes, local_host: str, remote: Address) -> None:
    """Send from a given local address.

    :raises OSError: if the host refuses, for example because no route leads there.
    """
    if sock.family == socket.AF_INET:
        info = struct.pack("=I4s4s", 0, socket.inet_aton(local_host), bytes(4))
        control = [(socket.IPPROTO_IP, _IP_PKTINFO, info)]
    else:
        info = struct.pack("=16sI", ipaddress.IPv6Address(local_host).packed, 0)
        control = [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, info)]
    sock.sendmsg([data], control, 0, (remote.host, remote.port))
