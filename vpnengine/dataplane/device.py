"""The TUN device of a data path with its routes: made, watched, and made anew when somebody took it away."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable

from pyroute2.netlink.exceptions import NetlinkError

from vpnengine.dataplane.base import DataPlaneError
from vpnengine.dataplane.routes import Routes
from vpnengine.dataplane.tun import DeviceState, device_state
from vpnengine.esp.sa import Selector

WATCH_S = 1.0
_WORDS: dict[DeviceState, str] = {
    "down": "is down, so that nothing passes; set it up again with “ip link set up”",
    "gone": "was removed, and cannot be made again at present",
}


class Device:
    """One device; ``attach`` makes it and begins to read it, ``detach`` lets go, ``unreadable`` tells that it went."""

    def __init__(
        self,
        name: str,
        mtu: int,
        attach: Callable[[], None],
        detach: Callable[[], None],
        unreadable: Callable[[], bool],
    ) -> None:
        self._name = name
        self._mtu = mtu
        self._attach = attach
        self._detach = detach
        self._unreadable = unreadable
        self._state: DeviceState = "up"
        self._routes: Routes | None = None
        self._watching: asyncio.Task[None] | None = None
        self._addresses: tuple[str, ...] = ()
        self._selectors: tuple[Selector, ...] = ()

    def open(self) -> None:
        """Make it and watch it.

        :raises DataPlaneError: if the host refuses.
        """
        self._open()
        self._watching = asyncio.get_running_loop().create_task(self._watch())

    async def close(self) -> None:
        """Remove it with its routes and rules."""
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching
            self._watching = None
        self._close()
        self._addresses, self._selectors = (), ()

    def route(self, selectors: Iterable[Selector]) -> None:
        """Lead exactly these selectors into the device."""
        self._selectors = tuple(selectors)
        if self._routes is not None:
            self._routes.set(self._selectors)

    def set_addresses(self, addresses: Iterable[str]) -> None:
        """Give it exactly these addresses."""
        self._addresses = tuple(addresses)
        if self._routes is not None:
            self._routes.set_addresses(self._addresses)

    async def settled(self) -> None:
        """Return when the routes stand."""
        if self._routes is not None:
            await self._routes.settled()

    def conditions(self) -> tuple[str, ...]:
        """What is wrong with the device, and routes that the kernel refuses."""
        found = [f"the TUN device {self._name} {_WORDS[self._state]}"] if self._state in _WORDS else []
        problem = self._routes.problem if self._routes is not None else None
        return (*found, problem) if problem else tuple(found)

    def _open(self) -> None:
        self._attach()
        self._routes = Routes(self._name, self._mtu)

    def _close(self) -> None:
        if self._routes is not None:
            self._routes.close()
            self._routes = None
        self._detach()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_S)
            was, state = self._state, "gone" if self._unreadable() else device_state(self._name)
            if state == "gone":
                state = self._make_anew()
            elif state == "up" != was and self._routes is not None:
                self._routes.again()  # they went when it went down
            self._state = state

    def _make_anew(self) -> DeviceState:
        self._close()
        try:
            self._open()
        except (DataPlaneError, NetlinkError, OSError, LookupError):
            return "gone"
        self.set_addresses(self._addresses)
        self.route(self._selectors)
        return "up"
