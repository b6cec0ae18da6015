"""What the data path knows of an installed pair."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from vpnengine.dataplane.base import SaCounters
from vpnengine.dataplane.xfrm.states import Dumped
from vpnengine.esp.sa import IpsecSaPair, Selector


@dataclass(eq=False)
class Sa:
    """An installed pair. It serves a policy for its own selector, or those that a wider selector contains."""

    pair: IpsecSaPair
    reqid: int
    sending: bool = False
    soft_told: bool = False
    hard_told: bool = False
    counted: SaCounters = SaCounters()  # noqa: RUF009 - immutable

    def carries(self, selector: Selector) -> bool:
        """True if a policy's packets are protected by this pair.

        In transport mode behind a NAT the kernel sees the outer addresses, whatever was negotiated.
        """
        own = self.pair.selector
        if self.pair.mode == "transport" and self.pair.udp:
            local, remote = (ipaddress.ip_network(end.host) for end in (self.pair.local, self.pair.remote))
            own = Selector(local, remote, *own[2:])
        return own == selector or own.covers(selector)

    def count(self, inbound: Dumped | None, outbound: Dumped | None, now: float) -> SaCounters:
        """The kernel's counters; what has grown since the last time was carried now."""
        before = self.counted
        into = inbound.packets if inbound else before.packets_in
        out = outbound.packets if outbound else before.packets_out
        self.counted = SaCounters(
            bytes_in=inbound.octets if inbound else before.bytes_in,
            bytes_out=outbound.octets if outbound else before.bytes_out,
            packets_in=into,
            packets_out=out,
            replayed=inbound.replayed if inbound else before.replayed,
            failed=inbound.failed if inbound else before.failed,
            last_in=now if into > before.packets_in else before.last_in,
            last_out=now if out > before.packets_out else before.last_out,
        )
        return self.counted
