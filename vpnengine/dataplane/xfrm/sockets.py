"""What the engine's UDP sockets need beside the kernel's IPsec."""

from __future__ import annotations

import socket
import struct

from vpnengine.dataplane.base import DataPlaneError
from vpnengine.dataplane.xfrm import messages as m
from vpnengine.dataplane.xfrm import structs
from vpnengine.dataplane.xfrm.structs import Lifetime

_UDP_ENCAP, _ESP_IN_UDP = 100, 2  # linux/udp.h
_IP_XFRM_POLICY, _IPV6_XFRM_POLICY = 17, 35  # linux/in.h, linux/in6.h


def exempt(sock: socket.socket) -> None:
    """No policy concerns this socket: its packets pass in clear, both ways.

    :raises DataPlaneError: if the kernel has no such thing.
    """
    level, option = socket.IPPROTO_IP, _IP_XFRM_POLICY
    if sock.family == socket.AF_INET6:
        level, option = socket.IPPROTO_IPV6, _IPV6_XFRM_POLICY
    for direction in (m.DIR_IN, m.DIR_OUT):
        selector = bytes(40) + struct.pack("=H14x", sock.family)
        tail = struct.pack("=IIBBBB4x", 0, 0, direction, m.ALLOW, 0, 0)
        policy = selector + Lifetime().pack() + structs.UNUSED_LIFE + tail
        try:
            sock.setsockopt(level, option, policy)
        except OSError as error:
            raise DataPlaneError(f"this kernel has no IPsec policies for sockets: {error.strerror}") from None


def take_esp(sock: socket.socket) -> None:
    """Let the kernel keep ESP in UDP (RFC 3948) and keepalives of this socket, and leave IKE to us.

    :raises DataPlaneError: if it cannot.
    """
    try:
        sock.setsockopt(socket.IPPROTO_UDP, _UDP_ENCAP, _ESP_IN_UDP)
    except OSError as error:
        raise DataPlaneError(f"this kernel takes no ESP in UDP: {error.strerror}") from None
