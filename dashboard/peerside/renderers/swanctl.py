"""strongSwan's swanctl.conf, which OPNsense reads too."""

from __future__ import annotations

from dashboard.peerside.facts import OtherSide, Pair
from dashboard.peerside.renderers.words import numbered, ours, starts
from dashboard.peerside.vendors import Vendor
from vpnengine.contract.identity import Identity, IdentityType
from vpnengine.contract.selectors import PROTOCOL_NAMES

# What follows a prefix is taken octet by octet, so that addresses and distinguished names have none.
PREFIXES = {IdentityType.FQDN: "fqdn:", IdentityType.USER_FQDN: "userfqdn:", IdentityType.KEY_ID: "keyid:"}
# charon tells the lifetime that a rekeying and its grace make up: the two are 90 and 10 per cent of ours.
GRACE = 10


def render(side: OtherSide, vendor: Vendor) -> str:
    """The whole file."""
    name = side.name()
    lines = [
        "connections {",
        f"  {name} {{",
        "    version = 1",
        *(["    aggressive = yes"] if side.exchange == "aggressive" else []),
        *([f"    local_addrs = {side.local_address}"] if side.local_address else []),
        f"    remote_addrs = {ours(side)}",
        f"    proposals = {','.join(map(str, side.ike))}",
        f"    rekey_time = {side.ike_lifetime - side.ike_lifetime // GRACE}s",
        f"    over_time = {side.ike_lifetime // GRACE}s",
        f"    dpd_delay = {side.dpd_delay}s",
        f"    dpd_timeout = {side.dpd_timeout}s",
        *(["    encap = yes"] if side.forced_nat else []),
        *_end("local", side.local_identity, side),
        *_end("remote", side.remote_identity, side),
        "    children {",
    ]
    for number, pair in numbered(side.pairs):
        lines += _child(f"net-{number}", pair, side)
    lines += ["    }", "  }", "}"]
    if side.authentication == "psk":
        lines += _secret(name, side)
    return "\n".join(lines) + "\n"


def _end(end: str, identity: Identity | None, side: OtherSide) -> list[str]:
    auth = "psk" if side.authentication == "psk" else "pubkey"
    lines = [f"    {end} {{", f"      auth = {auth}"]
    if auth == "pubkey":
        # The files are the administrator's: their own certificate, and the CA that has issued ours.
        lines.append("      certs = gateway.pem" if end == "local" else "      cacerts = culvert-ca.pem")
    if identity is not None:
        lines.append(f'      id = "{_said(identity)}"')
    return [*lines, "    }"]


def _said(identity: Identity) -> str:
    return PREFIXES.get(identity.type, "") + identity.value


def _child(name: str, pair: Pair, side: OtherSide) -> list[str]:
    keyword = "ah_proposals" if side.esp[0].protocol == "ah" else "esp_proposals"
    lines = [
        f"      {name} {{",
        f"        local_ts = {_selector(pair.local, pair.protocol, pair.local_port)}",
        f"        remote_ts = {_selector(pair.remote, pair.protocol, pair.remote_port)}",
        f"        {keyword} = {','.join(_proposals(side))}",
        f"        mode = {side.mode}",
        f"        life_time = {side.esp_lifetime}s",
        f"        rekey_time = {side.esp_lifetime - side.esp_lifetime // GRACE}s",
    ]
    if side.esp_lifetime_kb:
        lines.append(f"        life_bytes = {side.esp_lifetime_kb * 1000}")
    return [*lines, f"        start_action = {'start' if starts(side) else 'trap'}", "      }"]


def _selector(subnet: str, protocol: int, port: int) -> str:
    if not protocol:
        return subnet
    name = PROTOCOL_NAMES.get(protocol, str(protocol))
    return f"{subnet}[{name}/{port}]" if port else f"{subnet}[{name}]"


def _proposals(side: OtherSide) -> list[str]:
    """ESP proposals with the PFS group in each; with ESN first, where it is asked for."""
    found = []
    for one in side.esp:
        name = str(one).removeprefix("ah-")
        tail = f"-{side.pfs}" if side.pfs else ""
        found += [f"{name}{tail}-esn-noesn"] if side.esn else [f"{name}{tail}"]
    return found


def _secret(name: str, side: OtherSide) -> list[str]:
    """charon looks a secret up by what both ends are called, and by their addresses."""
    owners = []
    for identity in (side.local_identity, side.remote_identity):
        if identity is not None:
            owners.append(_said(identity))
    owners += [address for address in (side.local_address, ours(side)) if address]
    rows = [f'    id-{number} = "{owner}"' for number, owner in enumerate(dict.fromkeys(owners), 1)]
    return ["secrets {", f"  ike-{name} {{", *rows, f'    secret = "{side.secret}"', "  }", "}"]
