"""Inner addresses for clients: the same client gets the same address again, as long as it is free."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from vpnengine.contract.remote_access import AddressPool


class Pool:
    """The addresses of one pool, and who has or had them."""

    def __init__(self, config: AddressPool) -> None:
        self.config = config
        self._all = dict.fromkeys(config.hosts())
        self._owners: dict[ipaddress.IPv4Address, str] = {}
        self._last: dict[str, ipaddress.IPv4Address] = {}

    def take(self, who: str, wish: ipaddress.IPv4Address | None = None) -> ipaddress.IPv4Address | None:
        """An address for this client: the one it has or had, the one it wishes, a fresh one, or one that is free."""
        for address in (self._last.get(who), wish):
            if address in self._all and self._owners.get(address, who) == who:
                return self._give(who, address)
        used_before = set(self._last.values())
        free = [address for address in self._all if address not in self._owners]
        chosen = next((address for address in free if address not in used_before), next(iter(free), None))
        return self._give(who, chosen) if chosen is not None else None

    def _give(self, who: str, address: ipaddress.IPv4Address) -> ipaddress.IPv4Address:
        for other in [name for name, last in self._last.items() if last == address and name != who]:
            del self._last[other]
        self._owners[address] = who
        self._last[who] = address
        return address

    def release(self, who: str) -> None:
        """The client has gone; its address is remembered for it."""
        address = self._last.get(who)
        if address is not None and self._owners.get(address) == who:
            del self._owners[address]

    def __len__(self) -> int:
        return len(self._all)


class Leases:
    """Every pool by its name."""

    def __init__(self) -> None:
        self._pools: dict[str, Pool] = {}

    def configure(self, pools: Iterable[AddressPool]) -> set[str]:
        """Take other pools; an unchanged one keeps its leases. Returns the names of those that changed."""
        kept = {}
        for config in pools:
            known = self._pools.get(config.name)
            kept[config.name] = known if known is not None and known.config == config else Pool(config)
        renewed = {name for name, pool in kept.items() if self._pools.get(name) is not pool}
        self._pools = kept
        return renewed

    def pool(self, name: str) -> Pool:
        """The pool of this name; the configuration is validated, so that there is one."""
        return self._pools[name]

    def release(self, name: str, who: str) -> None:
        """The client has gone; so may have the pool, if both leave the configuration at once."""
        pool = self._pools.get(name)
        if pool is not None:
            pool.release(who)
