"""NETLINK_XFRM messages on pyroute2's message classes: bodies as octets (``structs``), attributes by name."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

from pyroute2.netlink import nlmsg

NETLINK_XFRM = 6
NEWSA, DELSA, GETSA, NEWPOLICY, DELPOLICY, GETPOLICY, ALLOCSPI, ACQUIRE, EXPIRE, UPDPOLICY, UPDSA = range(0x10, 0x1B)
NEWAE, GETAE, MAPPING = 0x1E, 0x1F, 0x26
GROUP_ACQUIRE, GROUP_EXPIRE, GROUP_MAPPING = 1, 2, 0x80  # bits, of the groups 1, 2 and 8

REQUEST, ACK, ROOT, MATCH = 0x01, 0x04, 0x100, 0x200
DUMP = ROOT | MATCH
NLMSG_ERROR, NLMSG_DONE, NLMSG_OVERRUN = 2, 3, 4

DIR_IN, DIR_OUT, DIR_FORWARD = range(3)
ALLOW, BLOCK = 0, 1
STATE_NOPMTUDISC, STATE_AF_UNSPEC, STATE_ALIGN4, STATE_ESN = 4, 32, 64, 128
EXTRA_DONT_ENCAP_DSCP = 1

# Numbers of linux/xfrm.h. What is not named here is skipped when read, the keys before all.
ATTRIBUTES = {
    "ALG_AUTH": 1,
    "ALG_CRYPT": 2,
    "ENCAP": 4,
    "TMPL": 5,
    "LTIME_VAL": 9,
    "REPLAY_VAL": 10,
    "ALG_AEAD": 18,
    "ALG_AUTH_TRUNC": 20,
    "MARK": 21,
    "REPLAY_ESN_VAL": 23,
    "SA_EXTRA_FLAGS": 24,
    "OFFLOAD_DEV": 28,
    "SET_MARK": 29,
    "SET_MARK_MASK": 30,
    "IF_ID": 31,
    "MTIMER_THRESH": 32,
}
NUMBERS = {number: name for name, number in ATTRIBUTES.items()}
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE_HEADER = 4


class _Message(nlmsg):  # type: ignore[misc]
    """An XFRM message; ``body`` is its structure."""

    prefix = "XFRMA_"
    nla_map = tuple((number, "XFRMA_" + name, "cdata") for name, number in ATTRIBUTES.items())


def _class(size: int) -> type[_Message]:
    return type(f"Message{size}", (_Message,), {"fields": (("body", f"{size}s"),)})


class _Shape:
    """A message as pyroute2 lays it out, zeros where values go: each shape is laid out once."""

    def __init__(self, body: int, attributes: tuple[tuple[str, int], ...]) -> None:
        message: Any = _class(body)()
        message["body"] = bytes(body)
        message["attrs"] = [("XFRMA_" + name, bytes(size)) for name, size in attributes]
        message.encode()
        self.octets = bytes(message.data)
        self.places: list[int] = []
        offset = _HEADER.size + body
        for _, size in attributes:
            self.places.append(offset + _ATTRIBUTE_HEADER)
            offset += (_ATTRIBUTE_HEADER + size + 3) & ~3


_SHAPES: dict[tuple[int, tuple[tuple[str, int], ...]], _Shape] = {}
_MOST_SHAPES = 1000


def encode(kind: int, flags: int, sequence: int, body: bytes, attributes: Sequence[tuple[str, bytes]] = ()) -> bytes:
    """A whole netlink message."""
    key = len(body), tuple((name, len(value)) for name, value in attributes)
    shape = _SHAPES.get(key)
    if shape is None:
        if len(_SHAPES) >= _MOST_SHAPES:
            _SHAPES.clear()
        shape = _SHAPES[key] = _Shape(*key)
    octets = bytearray(shape.octets)
    _HEADER.pack_into(octets, 0, len(octets), kind, flags, sequence, 0)
    octets[_HEADER.size : _HEADER.size + len(body)] = body
    for place, (_, value) in zip(shape.places, attributes, strict=True):
        octets[place : place + len(value)] = value
    return bytes(octets)
