"""The one place where bounds are checked."""

from __future__ import annotations

from vpnengine.isakmp.errors import DecodeError


class Reader:
    """Reads octets of ``data[start:end]``; every read is checked against the end before slicing."""

    __slots__ = ("data", "end", "payload", "pos")

    def __init__(self, data: bytes, payload: str, start: int = 0, end: int | None = None) -> None:
        self.data = data
        self.payload = payload
        self.pos = start
        self.end = len(data) if end is None else end

    @property
    def left(self) -> int:
        """Octets not read yet."""
        return self.end - self.pos

    def fail(self, rule: str) -> DecodeError:
        """A ``DecodeError`` at the present position, to be raised by the caller."""
        return DecodeError(self.pos, self.payload, rule)

    def take(self, count: int, what: str) -> bytes:
        """The next ``count`` octets."""
        if count < 0 or count > self.left:
            raise self.fail(f"{what} needs {count} octets, {self.left} are left")
        start, self.pos = self.pos, self.pos + count
        return self.data[start : self.pos]

    def u8(self, what: str) -> int:
        """The next octet."""
        return self.take(1, what)[0]

    def u16(self, what: str) -> int:
        """The next two octets in network order."""
        return int.from_bytes(self.take(2, what), "big")

    def u32(self, what: str) -> int:
        """The next four octets in network order."""
        return int.from_bytes(self.take(4, what), "big")

    def rest(self) -> bytes:
        """Everything up to the end."""
        return self.take(self.left, "rest")
