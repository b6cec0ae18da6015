"""What is wrong with the machine, and what to do. Pure: facts are gathered in ``box.facts``."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from datetime import UTC, datetime

# A clock before the day this was written is a clock without a battery.
PAST = datetime(2025, 1, 1, tzinfo=UTC)
FULL_PERCENT = 95


@dataclass(frozen=True)
class Port:
    """An Ethernet port; ``addresses`` with their prefixes, without link-local ones."""

    name: str
    carrier: bool = False
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True)
class Facts:
    """What is known of the machine at one moment.

    ``data`` is ``ok``, ``missing``, ``read-only`` or ``corrupt``; ``data_percent`` how full it is. ``lan_dhcp`` is the
    address of a DHCP server that is not ours and answers on the LAN; ``gateway`` the default route's.
    """

    ports: tuple[Port, ...] = ()
    wan: str = ""
    lan: str = ""
    wan_mode: str = "dhcp"
    gateway: str = ""
    gateway_answers: bool | None = None
    names_resolve: bool | None = None
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    is_synchronized: bool | None = None
    data: str = "ok"
    data_percent: int = 0
    lan_dhcp: str = ""
    failed_units: tuple[str, ...] = ()

    def port(self, name: str) -> Port | None:
        """The port of this name, if there is one."""
        return next((port for port in self.ports if port.name == name), None)


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: a stable key, a sentence, and what to do."""

    key: str
    text: str
    advice: str
    is_grave: bool = True


def diagnose(facts: Facts) -> list[Finding]:
    """What is wrong, the gravest first; what follows from something else is not said twice."""
    found = [*_data(facts), *_ports(facts), *_clock(facts), *_units(facts)]
    return sorted(found, key=lambda finding: not finding.is_grave)


def _data(facts: Facts) -> list[Finding]:
    match facts.data:
        case "missing":
            text = "The data partition was not found, so that nothing is kept."
            return [Finding("data-missing", text, "Give the machine a disk of at least 8 GB, and start it again.")]
        case "corrupt":
            text = "The data partition is damaged, and could not be repaired."
            advice = "Copy the disk if you need what is on it. Then choose “Factory reset” and import your export."
            return [Finding("data-corrupt", text, advice)]
        case "read-only":
            text = "The data partition can be read but not written: the disk has reported errors."
            return [Finding("data-read-only", text, "Export the configuration now, then replace the disk.")]
    if facts.data_percent >= FULL_PERCENT:
        text = f"The data partition is {facts.data_percent} % full. Tunnels go on; new events may be lost."
        advice = "Shorten how long events are kept (dashboard, Settings), or give the machine a larger disk."
        return [Finding("data-full", text, advice)]
    return []


def _ports(facts: Facts) -> list[Finding]:
    if not facts.ports:
        text = "No network port was found."
        return [Finding("no-port", text, "Add a network card (virtio, Intel, Broadcom), and start the machine again.")]
    wan, lan = facts.port(facts.wan), facts.port(facts.lan)
    if wan is None:
        there = ", ".join(port.name for port in facts.ports)
        text = f"The WAN port {facts.wan or '(none)'} is not there; there are: {there}."
        return [Finding("wan-missing", text, "Choose “Set WAN” and the port that leads to the Internet.")]
    found = [*_swapped(facts, wan, lan)]
    if not found:
        found = [*_wan(facts, wan), *_overlap(wan, lan)]
    return [*found, *_lan(facts, lan)]


def _swapped(facts: Facts, wan: Port, lan: Port | None) -> list[Finding]:
    """The LAN hears a router, and the WAN nothing: the cables are in each other's place."""
    if lan is None or not facts.lan_dhcp or wan.addresses or facts.wan_mode != "dhcp":
        return []
    text = (
        f"WAN and LAN seem to be swapped: a DHCP server ({facts.lan_dhcp}) answers on the LAN port {lan.name}, "
        f"and none on the WAN port {wan.name}."
    )
    return [Finding("swapped", text, "Swap the two cables, or choose “Set WAN” and the other port.")]


def _wan(facts: Facts, wan: Port) -> list[Finding]:
    if not wan.carrier:
        text = f"Nothing is plugged into the WAN port {wan.name}."
        return [Finding("wan-no-carrier", text, "Plug in the cable to your router or modem; its lamp should light.")]
    if not wan.addresses:
        how = {"dhcp": "No DHCP server answers", "pppoe": "The provider does not answer"}.get(facts.wan_mode)
        text = f"{how or 'No address is set'} on the WAN port {wan.name}: there is no address."
        advice = "Check the cable and the router; or choose “Set WAN” and enter the address by hand."
        return [Finding("wan-no-address", text, advice)]
    if not facts.gateway:
        text = "There is no default route: nothing finds the way to the Internet."
        return [Finding("no-gateway", text, "Choose “Set WAN” and enter the gateway that your provider names.")]
    if facts.gateway_answers is False:
        text = f"The gateway {facts.gateway} does not answer."
        return [Finding("gateway-silent", text, "Check the cable behind your router, and the address of the gateway.")]
    if facts.names_resolve is False:
        text = "Names are not resolved: no DNS server answers."
        return [Finding("no-dns", text, "Choose “Set WAN” and enter a DNS server, for example your provider's.", False)]
    return []


def _overlap(wan: Port, lan: Port | None) -> list[Finding]:
    for mine in wan.addresses:
        for theirs in lan.addresses if lan else ():
            one, other = ipaddress.ip_interface(mine).network, ipaddress.ip_interface(theirs).network
            if one.version == other.version and one.overlaps(other):
                text = f"WAN ({one}) and LAN ({other}) have the same addresses: packets cannot find their way."
                return [Finding("overlap", text, "Give the LAN another subnet (dashboard, Networks).")]
    return []


def _lan(facts: Facts, lan: Port | None) -> list[Finding]:
    if facts.lan and lan is None:
        text = f"The LAN port {facts.lan} is not there."
        return [Finding("lan-missing", text, "Add the network card again, or choose another port in the dashboard.")]
    if not facts.lan and len(facts.ports) == 1:
        text = "There is one network port only, so that the dashboard is on the WAN, and there is no LAN."
        return [Finding("one-port", text, "Add a second network card if this is to be the router of a site.", False)]
    return []


def _clock(facts: Facts) -> list[Finding]:
    if facts.now < PAST:
        text = f"The clock says {facts.now:%Y-%m-%d}: certificates and events will have wrong times."
        advice = "It is set by NTP (UDP 123) as soon as the Internet is reached. If it never is: set it in the BIOS."
        return [Finding("clock", text, advice)]
    if facts.is_synchronized is False:
        text = "The clock is not synchronized yet."
        return [Finding("clock-unsynchronized", text, "If it stays so, let UDP port 123 out to the Internet.", False)]
    return []


def _units(facts: Facts) -> list[Finding]:
    if not facts.failed_units:
        return []
    text = f"Stopped: {', '.join(facts.failed_units)}."
    return [Finding("units", text, "Choose “Reboot”. If it comes back, get a support bundle from the dashboard.")]
