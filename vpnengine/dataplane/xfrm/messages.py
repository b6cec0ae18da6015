"""NETLINK_XFRM messages on pyroute2's message classes: bodies as octets (``structs``), attributes by name."""

from __future__ import annotations

from collections.abc import Iterable
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
STATE_AF_UNSPEC, STATE_ALIGN4, STATE_ESN = 32, 64, 128

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
    "OFFLOAD_DEV": 28,
    "SET_MARK": 29,
    "SET_MARK_MASK": 30,
    "IF_ID": 31,
    "MTIMER_THRESH": 32,
}
NUMBERS = {number: name for name, number in ATTRIBUTES.items()}
Attributes = Iterable[tuple[str, bytes]]


class _Message(nlmsg):  # type: ignore[misc]
    """An XFRM message; ``body`` is its structure."""

    prefix = "XFRMA_"
    nla_map = tuple((number, "XFRMA_" + name, "cdata") for name, number in ATTRIBUTES.items())


def _class(size: int) -> type[_Message]:
    return type(f"Message{size}", (_Message,), {"fields": (("body", f"{size}s"),)})


_CLASSES: dict[int, type[_Message]] = {}


def encode(kind: int, flags: int, sequence: int, body: bytes, attributes: Attributes = ()) -> bytes:
    """A whole netlink message."""
    if len(body) not in _CLASSES:
        _CLASSES[len(body)] = _class(len(body))
    message: Any = _CLASSES[len(body)]()
    message["body"] = body
    message["attrs"] = [("XFRMA_" + name, value) for name, value in attributes]
    message["header"]["type"] = kind
    message["header"]["flags"] = flags
    message["header"]["sequence_number"] = sequence
    message.encode()
    octets = bytes(message.data)
    message.data[:] = bytes(len(message.data))  # it may hold keys
    return octets
