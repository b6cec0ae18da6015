"""Cisco ASA's configuration, or the part of it that has to do with VPN."""

from __future__ import annotations

import re

from dashboard.peerside.importing import words
from dashboard.peerside.importing.found import Found

Tree = list[tuple[str, list[str]]]


def tree(text: str) -> Tree:
    """Lines, each with the indented ones below it."""
    found: Tree = []
    for line in text.splitlines():
        if not line.strip() or line.strip().startswith(("!", ":")):
            continue
        if line[0].isspace() and found:
            found[-1][1].append(line.strip())
        else:
            found.append((line.strip(), []))
    return found


def _after(rows: list[str], start: str) -> str:
    return next((row[len(start) :].strip() for row in rows if row.startswith(start)), "")


def read(text: str) -> Found:
    """The first entry of a crypto map that has a peer."""
    rows, found = tree(text), Found()
    tops = [line for line, _ in rows]
    entry = _entry(found, tops)
    found.local = _after(entry, "set peer").split(" ")[0]
    found.name = f"ASA {found.local}".strip()
    found.assumed.append("An ASA does not say its own public address: enter it as Public address.")
    for line, below in rows:
        if re.match(r"crypto (ikev1|isakmp) policy \d", line):
            _policy(found, below)
        elif "ikev2" in line and line.startswith("crypto ikev2 policy"):
            found.unknown.append(f"“{words.shown(line)}” is for IKEv2 and was left out.")
    _phase2(found, entry, tops)
    _acl(found, _after(entry, "match address").split(" ")[0], rows)
    _tunnel_group(found, rows)
    key_id = _after(tops, "crypto isakmp identity key-id")
    if key_id:
        found.remote_identity = ("key-id", key_id)
    return found


def _entry(found: Found, tops: list[str]) -> list[str]:
    """The settings of the map's entry that names a peer."""
    entries: dict[tuple[str, str], list[str]] = {}
    for line in tops:
        match = re.match(r"crypto map (\S+) (\d+) (.+)", line)
        if match:
            entries.setdefault((match[1], match[2]), []).append(match[3])
    peers = [row for row in entries.values() if _after(row, "set peer")]
    if len(peers) > 1:
        found.assumed.append(
            f"The crypto map has {len(peers)} peers; {words.shown(_after(peers[0], 'set peer'))}, the first, was taken."
        )
    return peers[0] if peers else []


def _policy(found: Found, rows: list[str]) -> None:
    cipher = words.ike_cipher(_after(rows, "encryption"))
    digest = words.digest(_after(rows, "hash") or "sha")
    group = words.group(_after(rows, "group") or "2")
    if _after(rows, "authentication") not in ("pre-share", ""):
        found.unknown.append("An IKE policy with certificates was left out.")
        return
    if not (cipher and digest and group):
        found.unknown.append(f"An IKE policy could not be read: {words.shown(', '.join(rows))}.")
        return
    found.ike.append((cipher, digest, group))
    life = _after(rows, "lifetime").split(" ")[-1]
    if life.isascii() and life.isdigit() and len(life) < 8:
        found.ike_lifetime = found.ike_lifetime or int(life)


def _phase2(found: Found, entry: list[str], tops: list[str]) -> None:
    sets = {}
    for line in tops:
        match = re.match(r"crypto ipsec ikev1 transform-set (\S+) (\S+)(?: (\S+))?$", line)
        if match:
            sets[match[1]] = (words.cipher(match[2]), words.integrity(match[3]) if match[3] else None, line)
    for name in _after(entry, "set ikev1 transform-set").split():
        cipher, integrity, line = sets.get(name, (None, None, name))
        if cipher is None or integrity is None:
            found.unknown.append(f"The transform set “{words.shown(line)}” could not be read.")
        else:
            found.esp.append((cipher, integrity))
    pfs = _after(entry, "set pfs") if any(row.startswith("set pfs") for row in entry) else None
    found.pfs = words.group(pfs or "2") if pfs is not None else None
    found.exchange = "aggressive" if "set ikev1 phase1-mode aggressive" in entry else "main"
    for word, field in (("seconds", "esp_lifetime"), ("kilobytes", "esp_lifetime_kb")):
        life = _after(entry, f"set security-association lifetime {word}")
        if life.isascii() and life.isdigit() and len(life) < 11:
            setattr(found, field, int(life))


def _objects(rows: Tree) -> dict[str, list[str]]:
    """Subnets of object groups and objects, by their names."""
    found = {}
    for line, below in rows:
        match = re.match(r"object(?:-group)? network (\S+)", line)
        if match:
            subnets = []
            for row in below:
                parts = re.sub(r"^(network-object|subnet|host)\s+(?:host\s+)?", "", row).split()
                subnets.append(words.network(*parts[:2]) if parts else None)
            found[match[1]] = [subnet for subnet in subnets if subnet]
    return found


def _acl(found: Found, name: str, rows: Tree) -> None:
    objects = _objects(rows)
    for line, _ in rows:
        if not name or not line.startswith(f"access-list {name} extended permit "):
            continue
        parts = line.split()[4:]
        if parts[:1] != ["ip"]:
            found.unknown.append(f"“{words.shown(line)}” is for a protocol; enter it under Selectors.")
        rest = parts[1:]
        for where in ("remote", "local"):
            subnets, rest = _end(rest, objects)
            if not subnets:
                found.unknown.append(f"“{words.shown(line)}” could not be read.")
                break
            for subnet in subnets:
                found.subnet(where, subnet)


def _end(parts: list[str], objects: dict[str, list[str]]) -> tuple[list[str], list[str]]:
    """The subnets that begin a list of words, and what follows."""
    if parts[:1] in (["object-group"], ["object"]) and len(parts) > 1:
        return objects.get(parts[1], []), parts[2:]
    if parts[:1] == ["host"] and len(parts) > 1:
        subnet = words.network(parts[1])
        return [subnet] if subnet else [], parts[2:]
    if parts and "/" in parts[0]:
        subnet = words.network(parts[0])
        return [subnet] if subnet else [], parts[1:]
    subnet = words.network(parts[0], parts[1]) if len(parts) > 1 else None
    return [subnet] if subnet else [], parts[2:]


def _tunnel_group(found: Found, rows: Tree) -> None:
    for line, below in rows:
        match = re.match(r"tunnel-group (\S+) ipsec-attributes", line)
        secret = _after(below, "ikev1 pre-shared-key") or _after(below, "pre-shared-key")
        if not match or not secret:
            continue
        if set(secret) == {"*"}:
            found.unknown.append("The secret is masked with asterisks (show run does that): enter it by hand.")
        else:
            found.secret = found.secret or secret
        if match[1] != found.local and found.exchange == "aggressive":
            found.local_identity = words.identity(match[1])
        return
