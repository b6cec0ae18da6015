"""The attributes payload of transaction exchanges (draft-ietf-ipsec-isakmp-mode-cfg-05 section 3.2)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

from vpnengine.isakmp.constants import PayloadType
from vpnengine.isakmp.reader import Reader

MAX_ATTRIBUTES = 64
_BASIC = 0x8000


class ConfigType(IntEnum):
    """Message types (section 3.3)."""

    REQUEST = 1
    REPLY = 2
    SET = 3
    ACK = 4


class ConfigAttribute(IntEnum):
    """Attributes of mode config (section 3.5), of XAUTH (draft-ietf-ipsec-isakmp-xauth-06 section 6.2) and of Cisco."""

    IP4_ADDRESS = 1
    IP4_NETMASK = 2
    IP4_DNS = 3
    XAUTH_TYPE = 16520
    XAUTH_USER_NAME = 16521
    XAUTH_USER_PASSWORD = 16522
    XAUTH_PASSCODE = 16523
    XAUTH_MESSAGE = 16524
    XAUTH_CHALLENGE = 16525
    XAUTH_DOMAIN = 16526
    XAUTH_STATUS = 16527
    XAUTH_NEXT_PIN = 16528
    XAUTH_ANSWER = 16529
    UNITY_BANNER = 28672
    UNITY_SAVE_PASSWORD = 28673
    UNITY_DOMAIN = 28674
    UNITY_SPLIT_INCLUDE = 28676
    UNITY_SPLIT_EXCLUDE = 28678


XAUTH_ATTRIBUTES = range(ConfigAttribute.XAUTH_TYPE, ConfigAttribute.XAUTH_ANSWER + 1)
_NUMBERS = (  # always in the basic form
    *(ConfigAttribute.XAUTH_TYPE, ConfigAttribute.XAUTH_STATUS, ConfigAttribute.UNITY_SAVE_PASSWORD),
)


@dataclass(frozen=True)
class Item:
    """One attribute; an empty value in a request asks for it."""

    type: int
    value: bytes = b""

    @property
    def number(self) -> int:
        """The value as a number."""
        return int.from_bytes(self.value, "big")

    def build(self) -> bytes:
        """The attribute on the wire."""
        if self.type in _NUMBERS and len(self.value) == 2:
            return struct.pack("!H", self.type | _BASIC) + self.value
        return struct.pack("!HH", self.type, len(self.value)) + self.value

    def __repr__(self) -> str:
        # The value may be a password.
        return f"Item({self.type})"


@dataclass(frozen=True)
class Configuration:
    """Attributes payload; ``type`` is a ``ConfigType`` or unknown, a reply repeats the ``identifier``."""

    type: int
    identifier: int
    items: tuple[Item, ...]
    kind: ClassVar[int] = PayloadType.ATTRIBUTES

    @classmethod
    def parse(cls, reader: Reader) -> Configuration:
        """:raises DecodeError: if an attribute is cut short, or there are too many."""
        kind = reader.u8("configuration type")
        reader.u8("reserved")
        identifier = reader.u16("identifier")
        items: list[Item] = []
        while reader.left:
            if len(items) == MAX_ATTRIBUTES:
                raise reader.fail(f"more than {MAX_ATTRIBUTES} attributes")
            number = reader.u16("attribute type")
            size = 2 if number & _BASIC else reader.u16("attribute length")
            items.append(Item(number & ~_BASIC, reader.take(size, "attribute value")))
        return cls(kind, identifier, tuple(items))

    def body(self) -> bytes:
        """The octets after the generic header."""
        return struct.pack("!BBH", self.type, 0, self.identifier) + b"".join(item.build() for item in self.items)

    def get(self, number: int) -> bytes | None:
        """The value of the first attribute of this type."""
        return next((item.value for item in self.items if item.type == number), None)

    @property
    def is_xauth(self) -> bool:
        """True if it is about XAUTH."""
        return any(item.type in XAUTH_ATTRIBUTES for item in self.items)
