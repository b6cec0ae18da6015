"""swanctl.conf."""

from __future__ import annotations

import re
from typing import Any

from dashboard.peerside.importing import words
from dashboard.peerside.importing.found import Found

Section = dict[str, Any]
MAX_DEPTH = 16
_PREFIXES = {"fqdn": "fqdn", "dns": "fqdn", "userfqdn": "user-fqdn", "email": "user-fqdn", "rfc822": "user-fqdn"} | {
    "keyid": "key-id",
    "ipv4": "ipv4",
    "ipv6": "ipv6",
    "asn1dn": "dn",
}
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "": 1}
# What is ours to decide, or changes nothing that both ends must agree on.
_KNOWN = {
    *("version", "aggressive", "local_addrs", "remote_addrs", "proposals", "rekey_time", "over_time", "reauth_time"),
    *(
        "dpd_delay",
        "dpd_timeout",
        "encap",
        "local",
        "remote",
        "children",
        "mobike",
        "unique",
        "keyingtries",
        "rand_time",
    ),
    *("local_port", "remote_port", "fragmentation", "send_certreq", "send_cert"),
}


def parse(text: str) -> Section:
    """Sections and settings, however they are laid out; braces that do not match are forgiven."""
    root: Section = {}
    stack = [root]
    pattern = r'#[^\n]*|([{}])|([^\s{}=#]+)\s*(?=\{)|([^\s{}=#]+)[ \t]*=[ \t]*((?:"[^"\n]*"|[^\n{}#"])*)'
    for match in re.finditer(pattern, text):
        brace, name, key, value = match.groups()
        if name and len(stack) <= MAX_DEPTH:
            fresh = stack[-1].get(name)
            fresh = fresh if isinstance(fresh, dict) else {}
            stack[-1][name] = fresh
            stack.append(fresh)
        elif brace == "}" and len(stack) > 1:
            stack.pop()
        elif key:
            stack[-1][key] = value.strip().strip('"')
    return root


def _sections(parent: Section, name: str) -> dict[str, Section]:
    found = parent.get(name)
    return {key: row for key, row in found.items() if isinstance(row, dict)} if isinstance(found, dict) else {}


def _text(section: Section, key: str, default: str = "") -> str:
    value = section.get(key, default)
    return value if isinstance(value, str) else default


def seconds(text: str) -> int | None:
    """``4h`` as seconds."""
    found = re.fullmatch(r"(\d{1,7})\s*([smhd]?)", text.strip())
    return int(found[1]) * _UNITS[found[2]] if found else None


def read(text: str) -> Found:
    """The first connection of the file."""
    root, found = parse(text), Found()
    connections = _sections(root, "connections")
    if not connections:
        return found
    name, connection = next(iter(connections.items()))
    if len(connections) > 1:
        found.assumed.append(
            f"The file has {len(connections)} connections; “{words.shown(name)}”, the first, was taken."
        )
    found.name = name
    _connection(found, connection)
    for number, child in enumerate(_sections(connection, "children").values()):
        _child(found, child, first=not number)
    _secret(found, root)
    return found


def _connection(found: Found, row: Section) -> None:
    if _text(row, "version", "0") != "1":
        found.assumed.append("The other side must say version = 1: this appliance speaks IKEv1 only.")
    found.exchange = "aggressive" if _text(row, "aggressive") == "yes" else "main"
    # Their local address is where we reach them.
    found.remote = _address(found, row, "local_addrs")
    found.local = _address(found, row, "remote_addrs")
    for one in _text(row, "proposals").split(","):
        _ike(found, one)
    rekey, over = seconds(_text(row, "rekey_time")), seconds(_text(row, "over_time"))
    if rekey:
        found.ike_lifetime = rekey + (over if over is not None else rekey // 10)
    for end, field in (("local", "remote_identity"), ("remote", "local_identity")):
        section = row.get(end)
        if isinstance(section, dict):
            if _text(section, "auth", "psk") != "psk":
                found.unknown.append(
                    f"Authentication there is “{words.shown(_text(section, 'auth'))}”: enter certificates here, or use "
                    "a pre-shared secret on both sides."
                )
            if _text(section, "id") and _text(section, "id") != "%any":
                setattr(found, field, _identity(_text(section, "id")))
    delay, timeout = seconds(_text(row, "dpd_delay", "0s")), seconds(_text(row, "dpd_timeout", "0s"))
    if delay and timeout and timeout > delay:
        found.dpd = (delay, timeout)
    for key in row:
        if key not in _KNOWN:
            found.unknown.append(f"“{words.shown(key)}” of the connection has no place here and was left out.")


def _address(found: Found, row: Section, key: str) -> str:
    texts = [part.strip() for part in _text(row, key).split(",") if part.strip()]
    if not texts or texts[0].startswith("%"):
        return ""
    if len(texts) > 1:
        found.assumed.append(f"{key} lists {len(texts)} addresses; {words.shown(texts[0])}, the first, was taken.")
    return texts[0]


def _identity(text: str) -> tuple[str, str]:
    prefix, colon, value = text.partition(":")
    if colon and prefix.lower() in _PREFIXES:
        return _PREFIXES[prefix.lower()], value
    return words.identity(text) or ("key-id", text)


def _ike(found: Found, proposal: str) -> None:
    parts = [part for part in proposal.strip().lower().split("-") if part and not part.startswith("prf")]
    if not parts:
        return
    ciphers = [c for c in map(words.ike_cipher, parts) if c]
    hashes = [h for h in map(words.digest, parts) if h]
    groups = _groups(parts)
    if not (ciphers and hashes and groups):
        found.unknown.append(f"The phase 1 proposal “{words.shown(proposal)}” is not one that IKEv1 has here.")
        return
    found.ike += [(c, h, g) for c in ciphers for h in hashes for g in groups]


def _groups(parts: list[str]) -> list[str]:
    names = [part for part in parts if part.startswith(("modp", "ecp", "curve", "x25519"))]
    return [name for name in (words.group(part) for part in names) if name]


def _child(found: Found, row: Section, first: bool) -> None:
    for end, where in (("local_ts", "remote"), ("remote_ts", "local")):
        for one in _text(row, end).split(","):
            one = one.strip()
            subnet = words.network(one.partition("[")[0])
            if subnet is None:
                if one:
                    found.unknown.append(f"{end} “{words.shown(one)}” is not a subnet.")
                continue
            if "[" in one:
                found.unknown.append(f"“{words.shown(one)}” is for a protocol or port; enter it under Selectors.")
            found.subnet(where, subnet)
    if not first:
        return
    for one in _text(row, "esp_proposals").split(","):
        _esp(found, one)
    if _text(row, "ah_proposals"):
        found.unknown.append("AH is used there; choose it in the policy here.")
    life, rekey = seconds(_text(row, "life_time")), seconds(_text(row, "rekey_time"))
    found.esp_lifetime = life or (rekey + rekey // 10 if rekey else None)
    octets = _text(row, "life_bytes")
    found.esp_lifetime_kb = int(octets) // 1000 if octets.isascii() and octets.isdigit() and len(octets) < 14 else None
    found.mode = "transport" if _text(row, "mode") == "transport" else "tunnel"


def _esp(found: Found, proposal: str) -> None:
    parts = [part for part in proposal.strip().lower().split("-") if part and part not in ("esn", "noesn")]
    if not parts:
        return
    ciphers = [c for c in (words.cipher(part) for part in parts) if c]
    hashes = [h for h in (words.integrity(part) for part in parts) if h]
    if not ciphers:
        found.unknown.append(f"The phase 2 proposal “{words.shown(proposal)}” is not one that is known here.")
        return
    groups = _groups(parts)
    found.pfs = groups[0] if groups else found.pfs
    for name in ciphers:
        if "gcm" in name or "ccm" in name:
            found.esp.append((name, None))
        elif hashes:
            found.esp += [(name, one) for one in hashes]
        else:
            found.unknown.append(f"The phase 2 proposal “{words.shown(proposal)}” has no integrity algorithm.")


def _secret(found: Found, root: Section) -> None:
    secrets = [_text(row, "secret") for row in _sections(root, "secrets").values() if _text(row, "secret")]
    if len(secrets) > 1:
        found.assumed.append(f"The file has {len(secrets)} secrets; the first was taken.")
    found.secret = secrets[0] if secrets else ""
