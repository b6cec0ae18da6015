"""Reading ESP in captures with the reference transform: no replay window, any order, nothing is sent."""

from __future__ import annotations

from typing import NamedTuple, NoReturn

from vpnengine.crypto.esp_cipher import AuthenticationError, EspCipher, make_cipher
from vpnengine.esp.sa import EspKeys, EspTransform
from vpnengine.esp.transform import HEADER, EspError, unpad

_ESP, _UDP, _NATT_PORT = 50, 17, 4500
_MARKER = bytes(4)


class OpenedPacket(NamedTuple):
    """What was in an ESP packet; ``protocol`` is 4 or 41 for an IP packet in tunnel mode."""

    spi: int
    sequence: int
    protocol: int
    inner: bytes


class CapturedEsp:
    """Opens captured packets of the SAs that it has been given keys of."""

    def __init__(self) -> None:
        self._sas: dict[int, tuple[EspCipher, bool]] = {}
        self._high: dict[int, int] = {}

    def add(self, spi: int, transform: EspTransform, keys: EspKeys) -> None:
        """An SA in one direction.

        :raises ValueError: if the keys do not belong to the transform.
        """
        cipher = make_cipher(transform.encryption, transform.integrity, keys.encryption, keys.integrity, _no_rng)
        self._sas[spi] = (cipher, transform.esn)

    def open(self, packet: bytes) -> OpenedPacket:
        """A whole ESP packet, from its SPI on.

        Of 64-bit sequence numbers the packet has the lower half; the upper half is that of the packet before, or one
        more (RFC 4303 appendix A).

        :raises EspError: naming why it cannot be read. Whatever the octets are, nothing else is raised.
        """
        if len(packet) < HEADER:
            raise EspError("too short")
        spi, low = int.from_bytes(packet[:4], "big"), int.from_bytes(packet[4:8], "big")
        known = self._sas.get(spi)
        if known is None:
            raise EspError("no keys")
        cipher, esn = known
        if len(packet) < HEADER + cipher.overhead:
            raise EspError("too short")
        last = self._high.get(spi, 0)
        for high in (last, last + 1) if esn else (0,):
            try:
                plain = cipher.open(packet, high.to_bytes(4, "big") if esn else b"")
            except AuthenticationError:
                continue
            self._high[spi] = high
            inner, protocol = unpad(plain)
            return OpenedPacket(spi, high << 32 | low, protocol, inner)
        raise EspError("not authentic")


def esp_of(packet: bytes) -> bytes | None:
    """The ESP packet in an IP packet, by itself or in UDP on port 4500 (RFC 3948); None if there is none.

    IP options are skipped; fragments and IPv6 extension headers are not followed.
    """
    if len(packet) < 20:
        return None
    if packet[0] >> 4 == 4:
        start, protocol = (packet[0] & 15) * 4, packet[9]
        end = min(int.from_bytes(packet[2:4], "big"), len(packet))
        fragment = int.from_bytes(packet[6:8], "big") & 0x3FFF
    elif packet[0] >> 4 == 6 and len(packet) >= 40:
        start, protocol, fragment = 40, packet[6], 0
        end = min(40 + int.from_bytes(packet[4:6], "big"), len(packet))
    else:
        return None
    if fragment or start < 20:
        return None
    body = packet[start:end]
    return body if protocol == _ESP else _in_udp(body) if protocol == _UDP else None


def _in_udp(datagram: bytes) -> bytes | None:
    if len(datagram) <= 8 + HEADER:
        return None
    ports = int.from_bytes(datagram[:2], "big"), int.from_bytes(datagram[2:4], "big")
    data = datagram[8:]
    return data if _NATT_PORT in ports and data[:4] != _MARKER else None


def _no_rng(count: int) -> NoReturn:
    raise AssertionError("nothing is sealed here")
