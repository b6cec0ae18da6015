"""ESP, one packet at a time: the reference transform, by itself in tunnel mode (RFC 4303)."""

from __future__ import annotations

from collections.abc import Callable

from vpnengine.crypto.esp_cipher import AuthenticationError, make_cipher
from vpnengine.esp.replay import ReplayWindow
from vpnengine.esp.sa import EspKeys, EspTransform

NEXT_IPV4, NEXT_IPV6, NEXT_DUMMY = 4, 41, 59
HEADER = 8
LAST_SEQUENCE, LAST_EXTENDED_SEQUENCE = (1 << 32) - 1, (1 << 64) - 1
SOFT_MARGIN = 1 << 20
_PADDING = bytes(range(1, 256))
_NEXT_BY_VERSION = {4: NEXT_IPV4, 6: NEXT_IPV6}


class EspError(Exception):
    """A packet is dropped; ``reason`` is a short name for counters."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Outbound:
    """Seals packets of one SA; sequence numbers are never used twice (RFC 4303 section 3.3.3)."""

    def __init__(self, spi: int, transform: EspTransform, keys: EspKeys, rng: Callable[[int], bytes]) -> None:
        self._spi = spi.to_bytes(4, "big")
        self._cipher = make_cipher(transform.encryption, transform.integrity, keys.encryption, keys.integrity, rng)
        self._esn = transform.esn
        self._last = LAST_EXTENDED_SEQUENCE if transform.esn else LAST_SEQUENCE
        self.sequence = 0

    @property
    def nearly_exhausted(self) -> bool:
        """True when a successor should be negotiated."""
        return self.sequence >= self._last - SOFT_MARGIN

    def seal(self, packet: bytes) -> bytes:
        """The ESP packet around one IP packet.

        :raises EspError: if it is no IP packet, or all sequence numbers are used.
        """
        following = _NEXT_BY_VERSION.get(packet[0] >> 4) if packet else None
        if following is None:
            raise EspError("not IP")
        return self.seal_payload(packet, following)

    def seal_payload(self, payload: bytes, following: int) -> bytes:
        """The ESP packet around octets whose protocol is ``following``.

        :raises EspError: if all sequence numbers are used.
        """
        if self.sequence >= self._last:
            raise EspError("sequence numbers exhausted")
        self.sequence += 1
        number = self.sequence.to_bytes(8, "big")
        header, high = self._spi + number[4:], number[:4] if self._esn else b""
        pad = -(len(payload) + 2) % self._cipher.block
        plaintext = payload + _PADDING[:pad] + bytes((pad, following))
        return header + self._cipher.seal(header, self.sequence, plaintext, high)


class Inbound:
    """Opens packets of one SA, each at most once."""

    def __init__(
        self, transform: EspTransform, keys: EspKeys, rng: Callable[[int], bytes], replay_window: int = 64
    ) -> None:
        self._cipher = make_cipher(transform.encryption, transform.integrity, keys.encryption, keys.integrity, rng)
        self._esn = transform.esn
        self.window = ReplayWindow(replay_window)

    def open(self, packet: bytes) -> bytes | None:
        """The IP packet inside; None for a dummy packet (RFC 4303 section 2.6).

        :raises EspError: naming why it is dropped. Whatever the octets are, nothing else is raised.
        """
        inner, following = self.open_payload(packet)
        if following == NEXT_DUMMY:
            return None
        if following not in (NEXT_IPV4, NEXT_IPV6) or not inner or _NEXT_BY_VERSION.get(inner[0] >> 4) != following:
            raise EspError("not tunnel mode")
        return _without_tfc(inner, following)

    def open_payload(self, packet: bytes) -> tuple[bytes, int]:
        """The octets inside and their protocol, whatever the mode.

        :raises EspError: naming why it is dropped.
        """
        if len(packet) < HEADER + self._cipher.overhead:
            raise EspError("too short")
        sequence = int.from_bytes(packet[4:8], "big")
        high = b""
        if self._esn:
            sequence = self.window.infer(sequence)
            high = (sequence >> 32 & 0xFFFFFFFF).to_bytes(4, "big")
        if not self.window.acceptable(sequence):
            raise EspError("replayed")
        try:
            plaintext = self._cipher.open(packet, high)
        except AuthenticationError:
            raise EspError("not authentic") from None
        self.window.commit(sequence)
        return unpad(plaintext)


def unpad(plaintext: bytes) -> tuple[bytes, int]:
    """Check and remove the trailer (RFC 4303 sections 2.4 to 2.6); what it protects, and its protocol."""
    if len(plaintext) < 2:
        raise EspError("bad padding")
    pad, following = plaintext[-2], plaintext[-1]
    end = len(plaintext) - 2 - pad
    if end < 0 or plaintext[end:-2] != _PADDING[:pad]:
        raise EspError("bad padding")
    return plaintext[:end], following


def _without_tfc(inner: bytes, following: int) -> bytes:
    """Cut traffic flow confidentiality padding after the IP packet (RFC 4303 section 2.7)."""
    if len(inner) < (20 if following == NEXT_IPV4 else 40):
        raise EspError("inner packet cut short")
    length = int.from_bytes(inner[2:4], "big") if following == NEXT_IPV4 else 40 + int.from_bytes(inner[4:6], "big")
    if length > len(inner) or length < 20:
        raise EspError("inner packet cut short")
    return inner[:length]
