"""What the data path asks of the host around it: settings, counters, and whether its kernel has ESP at all."""

from __future__ import annotations

import ipaddress
import secrets
from pathlib import Path

from vpnengine.contract.algorithms import EspEncryption
from vpnengine.crypto.secret import Secret
from vpnengine.dataplane.base import DataPlaneError
from vpnengine.dataplane.xfrm import states
from vpnengine.dataplane.xfrm.netlink import Netlink, XfrmError
from vpnengine.esp.sa import Address, EspKeys, EspTransform, IpsecSaPair, Selector

_STATISTICS = Path("/proc/net/xfrm_stat")
_SETTINGS = Path("/proc/sys/net/core")
# The first packets of a tunnel wait for it, and a failed negotiation is asked for again soon.
WANTED = {"xfrm_larval_drop": "0", "xfrm_acq_expires": "5"}
# Counters of the kernel that have a name on the other data paths too; the rest keep the kernel's.
REASONS = {
    "XfrmInNoStates": "unknown SPI",
    "XfrmInStateSeqError": "replayed",
    "XfrmInStateProtoError": "not authentic",
    "XfrmInTmplMismatch": "selector",
    "XfrmInNoPols": "selector",
    "XfrmOutPolBlock": "no SA",
    "XfrmOutNoStates": "no SA",
    "XfrmOutStateSeqError": "sequence numbers exhausted",
    "XfrmInStateExpired": "expired",
    "XfrmOutStateExpired": "expired",
}


def statistics() -> dict[str, int]:
    """Dropped packets of this network namespace by reason, since its beginning."""
    found: dict[str, int] = {}
    try:
        text = _STATISTICS.read_text()
    except OSError:
        return found
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        reason = REASONS.get(name, name)
        found[reason] = found.get(reason, 0) + int(value)
    return found


class Settings:
    """Settings of the network namespace that are changed while we run, and set back after."""

    def __init__(self) -> None:
        self._before: dict[str, str] = {}

    def change(self) -> None:
        """Change what can be changed; a read-only /proc costs no more than first packets."""
        for name, value in WANTED.items():
            try:
                before = (_SETTINGS / name).read_text().strip()
                if before != value:
                    (_SETTINGS / name).write_text(value)
                    self._before[name] = before
            except OSError:
                continue

    def restore(self) -> None:
        """Set them back."""
        for name, value in self._before.items():
            try:
                (_SETTINGS / name).write_text(value)
            except OSError:
                continue
        self._before.clear()


def problem() -> str | None:
    """Why this kernel cannot carry ESP for us; None if it can. Adds a state that matches nothing, and removes it."""
    try:
        netlink = Netlink()
    except DataPlaneError as error:
        return str(error)
    try:
        pair = _probe()
        netlink.send(states.addition(pair, True, 0))
        netlink.send(states.removal(states.identity(pair, True)))
    except XfrmError as error:
        return f"this kernel has no ESP for it ({error.strerror})"
    finally:
        netlink.close()
    return None


def _probe() -> IpsecSaPair:
    keys = EspKeys(Secret(secrets.token_bytes(20)), None)
    nothing = ipaddress.ip_network("192.0.0.8/32")
    transform = EspTransform(EspEncryption.AES128GCM16, None)
    end = Address("192.0.0.8", 0)
    spi = 0x43550000 | secrets.randbelow(0x10000)
    return IpsecSaPair("", spi, spi, Selector(nothing, nothing), transform, keys, keys, end, end, False)
