"""The TUN device of the userspace data path."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
from typing import Literal

from vpnengine.dataplane.base import DataPlaneError

_TUNSETIFF, _TUNSETPERSIST = 0x400454CA, 0x400454CB
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_SIOCGIFFLAGS, _IFF_UP = 0x8913, 0x0001
MAX_PACKET = 65_535
DeviceState = Literal["up", "down", "gone"]


def open_tun(name: str, persist: bool = False) -> int:
    """Make the device, or take the one that an engine has left, and return its file descriptor, non-blocking.

    With ``persist`` it outlives the process, for the routes that lead to it; without, it goes with the descriptor.

    :raises DataPlaneError: if the host has no TUN driver or does not permit it.
    """
    try:
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise DataPlaneError(sentence(error)) from None
    try:
        fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
        fcntl.ioctl(fd, _TUNSETPERSIST, int(persist))
    except OSError as error:
        os.close(fd)
        raise DataPlaneError(sentence(error, name)) from None
    return fd


def device_state(name: str) -> DeviceState:
    """Whether a network device is there, and set up."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            answer = fcntl.ioctl(sock, _SIOCGIFFLAGS, struct.pack("16sH22x", name.encode(), 0))
        except OSError:
            return "gone"
    return "up" if struct.unpack_from("16sH", answer)[1] & _IFF_UP else "down"


def sentence(error: OSError, name: str = "") -> str:
    """Why there is no device, for the administrator."""
    if error.errno == errno.ENOENT:
        return "this host has no /dev/net/tun; load the kernel module tun, or give the container that device"
    if error.errno in (errno.EPERM, errno.EACCES):
        return "no permission to make a TUN device; run as root, or with the capability NET_ADMIN"
    if error.errno == errno.EBUSY:
        return f"the device {name} is in use: another engine runs here; stop it, or choose another name with --tun"
    return f"cannot make a TUN device: {error.strerror}"
