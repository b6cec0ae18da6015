"""Small readers of other makers' formats: what a configuration says, and where it says it.

They share nothing with the renderers: words are taken apart by their shape, not by the renderers' tables. Each reader
fails on a line that has no place in its format.
"""

from __future__ import annotations

import ipaddress
import re
import shlex
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

GROUPS = {2: "modp1024", 5: "modp1536", 14: "modp2048", 15: "modp3072", 16: "modp4096", 17: "modp6144"} | {
    18: "modp8192",
    19: "ecp256",
    20: "ecp384",
    21: "ecp521",
    31: "curve25519",
}


@dataclass
class Read:
    """What was read. Where a format combines lists, the lists' products stand here."""

    remote_address: str = ""
    local_address: str = ""
    exchange: str = "main"
    ike: set[tuple[str, str, str]] = field(default_factory=set)
    ike_lifetime: int = 0
    esp: set[tuple[str, str | None]] = field(default_factory=set)
    pfs: str | None = None
    esp_lifetime: int = 0
    esp_kb: int | None = None
    pairs: list[tuple[str, str]] = field(default_factory=list)
    secret: str = ""
    local_id: str | None = None
    remote_id: str | None = None
    dpd: tuple[int, ...] = ()


def cipher(word: str) -> str:
    """Our name of a cipher in anybody's words."""
    text = re.sub(r"[^a-z0-9]", "", word.lower()).removeprefix("esp")
    if text in ("des3", "3des", "tripledes", "3descbc"):
        return "3des"
    mode = next((mode for mode in ("gcm", "ccm", "ctr") if mode in text), "")
    kind = "camellia" if "camellia" in text else "aes"
    size = next((size for size in ("192", "256", "128") if size in text), "128")
    return {"": f"{kind}{size}", "ctr": f"{kind}{size}ctr"}.get(mode, f"{kind}{size}{mode}16")


def digest(word: str) -> str:
    """Our name of a hash in anybody's words."""
    text = re.sub(r"[^a-z0-9]", "", word.lower())
    if "md5" in text:
        return "md5"
    size = next((size for size in ("512", "384", "256") if size in text.removesuffix("128")), "1")
    return f"sha{size}"


def group(word: str) -> str:
    """Our name of a Diffie-Hellman group in anybody's words."""
    text = word.lower()
    if text.startswith(("modp", "ecp", "curve")):
        return text
    found = re.search(r"(\d+)$", text)
    assert found, word
    return GROUPS[int(found[1])]


def product(ciphers: list[str], hashes: list[str]) -> set[tuple[str, str | None]]:
    """ESP proposals of two lists; a cipher that authenticates stands alone."""
    names = [cipher(one) for one in ciphers]
    alone = {(name, None) for name in names if "gcm" in name or "ccm" in name}
    return alone | {(n, digest(h)) for n in names for h in hashes if "gcm" not in n and "ccm" not in n}


def _net(address: str, mask: str) -> str:
    return str(ipaddress.ip_network(f"{address}/{mask}"))


def _braces(text: str) -> dict[str, Any]:
    """swanctl's sections."""
    root: dict[str, Any] = {}
    stack = [root]
    for line in text.splitlines():
        line = line.strip()
        if not line:
            continue
        if line == "}":
            stack.pop()
        elif line.endswith("{"):
            name = line[:-1].strip()
            assert name not in stack[-1], f"section {name} twice"
            stack.append(stack[-1].setdefault(name, {}))
        else:
            key, equals, value = line.partition("=")
            assert equals and key.strip() not in stack[-1], line
            stack[-1][key.strip()] = value.strip().strip('"')
    assert len(stack) == 1
    return root


def swanctl(text: str) -> Read:
    root = _braces(text)
    [(name, connection)] = root["connections"].items()
    [(owner, secret)] = root["secrets"].items()
    assert owner == f"ike-{name}" and connection["version"] == "1"
    read = Read(
        remote_address=connection["remote_addrs"],
        local_address=connection.get("local_addrs", ""),
        exchange="aggressive" if connection.get("aggressive") == "yes" else "main",
        ike={tuple(one.split("-")) for one in connection["proposals"].split(",")},
        ike_lifetime=_seconds(connection["rekey_time"]) + _seconds(connection["over_time"]),
        secret=secret["secret"],
        local_id=connection["local"].get("id"),
        remote_id=connection["remote"].get("id"),
        dpd=(_seconds(connection["dpd_delay"]), _seconds(connection["dpd_timeout"])),
    )
    for child in connection["children"].values():
        read.pairs.append((child["local_ts"], child["remote_ts"]))
        read.esp_lifetime = _seconds(child["life_time"])
        read.esp_kb = int(child["life_bytes"]) // 1000 if "life_bytes" in child else None
        for one in child["esp_proposals"].split(","):
            parts = one.split("-")
            read.pfs = next((part for part in parts if part.startswith(("modp", "ecp", "curve"))), None)
            read.esp.add((parts[0], next((part for part in parts[1:] if part.startswith(("sha", "md5"))), None)))
    return read


def _seconds(text: str) -> int:
    assert text.endswith("s")
    return int(text[:-1])


def _tree(text: str) -> list[tuple[str, list[str]]]:
    """Lines of a Cisco configuration, each with the indented ones below it."""
    found: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith(" "):
            found[-1][1].append(line.strip())
        else:
            found.append((line, []))
    return found


def _after(rows: list[str], start: str) -> list[str]:
    return [row.removeprefix(start).strip() for row in rows if row.startswith(start)]


def _one(rows: list[str], start: str) -> str:
    [found] = _after(rows, start)
    return found


def asa(text: str) -> Read:
    read, sets, tree = Read(), {}, _tree(text)
    tops = [line for line, _ in tree]
    for line, rows in tree:
        if line.startswith("crypto ikev1 policy"):
            assert _one(rows, "authentication") == "pre-share"
            read.ike.add((cipher(_one(rows, "encryption")), digest(_one(rows, "hash")), group(_one(rows, "group"))))
            read.ike_lifetime = int(_one(rows, "lifetime"))
        elif line.startswith("crypto ipsec ikev1 transform-set"):
            _, _, _, _, name, first, *rest = line.split()
            sets[name] = (cipher(first), digest(rest[0]) if rest else None)
        elif line.endswith("ipsec-attributes"):
            read.secret = _one(rows, "ikev1 pre-shared-key")
            read.dpd = tuple(int(n) for n in re.findall(r"\d+", _one(rows, "isakmp keepalive")))
            read.remote_id = line.split()[1]
    entry = [line.partition(" 10 ")[2] for line in tops if line.startswith("crypto map outside_map 10 ")]
    read.remote_address = _one(entry, "set peer")
    read.esp = {sets.pop(name) for name in _one(entry, "set ikev1 transform-set").split()}
    assert not sets
    read.exchange = "aggressive" if "set ikev1 phase1-mode aggressive" in entry else "main"
    read.pfs = group(pfs[0]) if (pfs := _after(entry, "set pfs")) else None
    read.esp_lifetime = int(_one(entry, "set security-association lifetime seconds"))
    read.esp_kb = int(kb[0]) if (kb := _after(entry, "set security-association lifetime kilobytes")) else None
    acl = _one(entry, "match address")
    for row in _after(tops, f"access-list {acl} extended permit ip"):
        parts = row.split()
        read.pairs.append((_net(*parts[:2]), _net(*parts[2:])))
    read.local_id = ids[0] if (ids := _after(tops, "crypto isakmp identity key-id")) else None
    return read


def ios_xe(text: str) -> Read:
    read, sets, tree = Read(), {}, _tree(text)
    for line, rows in tree:
        if line.startswith("crypto isakmp policy"):
            assert _one(rows, "authentication") == "pre-share"
            read.ike.add((cipher(_one(rows, "encryption")), digest(_one(rows, "hash")), group(_one(rows, "group"))))
            read.ike_lifetime = int(_one(rows, "lifetime"))
        elif line.startswith("crypto keyring"):
            owner, _, read.secret = _one(rows, "pre-shared-key").partition(" key ")
            assert owner.split()[0] in ("address", "hostname")
        elif line.startswith("crypto isakmp keepalive"):
            read.dpd = tuple(int(n) for n in re.findall(r"\d+", line))
        elif line.startswith("crypto isakmp profile"):
            read.exchange = "aggressive" if "initiate mode aggressive" in rows else "main"
            read.local_id = ids[0] if (ids := _after(rows, "self-identity")) else None
            read.remote_id = _one(rows, "match identity")
        elif line.startswith("crypto ipsec transform-set"):
            _, _, _, name, words = line.split(maxsplit=4)
            assert rows[0] in ("mode tunnel", "mode transport")
            *front, last = words.split()
            sets[name] = (cipher(" ".join(front)), digest(last)) if last.endswith("hmac") else (cipher(words), None)
        elif line.startswith("crypto map"):
            read.remote_address = _one(rows, "set peer")
            read.esp = {sets.pop(name) for name in _one(rows, "set transform-set").split()}
            read.pfs = group(pfs[0]) if (pfs := _after(rows, "set pfs")) else None
            read.esp_lifetime = int(_one(rows, "set security-association lifetime seconds"))
            kilobytes = _after(rows, "set security-association lifetime kilobytes")
            read.esp_kb = int(kilobytes[0]) if kilobytes else None
        elif line.startswith("ip access-list extended"):
            for row in _after(rows, "permit ip"):
                parts = row.split()
                read.pairs.append((_net(*parts[:2]), _net(*parts[2:])))
    assert not sets
    return read


def _forti(text: str) -> Iterator[tuple[str, str, dict[str, str]]]:
    """(section, name, settings) of each edit."""
    section = name = ""
    settings: dict[str, str] = {}
    for line in text.splitlines():
        verb, _, rest = line.strip().partition(" ")
        if verb == "config":
            assert not section
            section = rest
        elif verb == "edit":
            name, settings = rest.strip('"'), {}
        elif verb == "set":
            key, _, value = rest.partition(" ")
            assert key not in settings, line
            settings[key] = value
        elif verb == "next":
            yield section, name, settings
        else:
            assert verb == "end", line
            section = ""


def fortigate(text: str) -> Read:
    read, routes, name1 = Read(), [], ""
    for section, name, row in _forti(text):
        if section == "vpn ipsec phase1-interface":
            name1 = name
            assert row["ike-version"] == "1" and len(name) <= 15
            read.exchange, read.remote_address = row["mode"], row["remote-gw"]
            read.ike_lifetime, read.secret = int(row["keylife"]), row["psksecret"].strip('"')
            pairs = [one.split("-") for one in row["proposal"].split()]
            read.ike = {(cipher(c), digest(h), group(g)) for c, h in pairs for g in row["dhgrp"].split()}
            read.local_id = row["localid"].strip('"') if "localid" in row else None
            read.remote_id = row["peerid"].strip('"') if "peerid" in row else None
            if row["dpd"] != "disable":
                read.dpd = (int(row["dpd-retryinterval"]), int(row["dpd-retrycount"]))
        elif section == "vpn ipsec phase2-interface":
            assert row["phase1name"] == f'"{name1}"'
            read.pfs = group(row["dhgrp"]) if row["pfs"] == "enable" else None
            read.esp_lifetime = int(row["keylifeseconds"])
            read.esp_kb = int(row["keylifekbs"]) if "keylifekbs" in row else None
            for one in row["proposal"].split():
                first, _, rest = one.partition("-")
                read.esp.add((cipher(first), digest(rest) if rest else None))
            read.pairs.append((_net(*row["src-subnet"].split()), _net(*row["dst-subnet"].split())))
        elif section == "router static":
            assert row["device"] == f'"{name1}"'
            routes.append(_net(*row["dst"].split()))
    assert routes == list(dict.fromkeys(theirs for _, theirs in read.pairs))
    return read


def pfsense(text: str) -> Read:
    root = ET.fromstring(text)
    assert root.tag == "ipsec"
    [phase1] = root.findall("phase1")
    say = lambda element, path: element.findtext(path) or ""  # noqa: E731
    items = phase1.findall("encryption/item")
    read = Read(
        remote_address=say(phase1, "remote-gateway"),
        exchange=say(phase1, "mode"),
        ike_lifetime=int(say(phase1, "lifetime")),
        secret=say(phase1, "pre-shared-key"),
        local_id=say(phase1, "myid_data") or None,
        remote_id=say(phase1, "peerid_data") or None,
        dpd=tuple(int(say(phase1, name)) for name in ("dpd_delay", "dpd_maxfail") if say(phase1, name)),
    )
    for item in items:
        words = say(item, "encryption-algorithm/name") + say(item, "encryption-algorithm/keylen")
        read.ike.add((cipher(words), digest(say(item, "hash-algorithm")), group(say(item, "dhgroup"))))
    for phase2 in root.findall("phase2"):
        assert say(phase2, "ikeid") == say(phase1, "ikeid") and say(phase2, "protocol") == "esp"
        ends = [f"{say(phase2, f'{end}/address')}/{say(phase2, f'{end}/netbits')}" for end in ("localid", "remoteid")]
        read.pairs.append((ends[0], ends[1]))
        names = []
        for option in phase2.findall("encryption-algorithm-option"):
            name = say(option, "name")
            names.append(name if "gcm" in name else name + say(option, "keylen"))
        read.esp = product(names, [one.text or "" for one in phase2.findall("hash-algorithm-option")])
        pfs = say(phase2, "pfsgroup")
        read.pfs = group(pfs) if pfs != "0" else None
        read.esp_lifetime = int(say(phase2, "lifetime"))
    return read


def mikrotik(text: str) -> Read:
    read = Read()
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        path, _, rest = line.partition(" add ")
        row = dict(word.split("=", 1) for word in shlex.split(rest))
        if path == "/ip ipsec profile":
            read.ike = {
                (cipher(c), digest(row["hash-algorithm"]), group(g))
                for c in row["enc-algorithm"].split(",")
                for g in row["dh-group"].split(",")
            }
            read.ike_lifetime = _seconds(row["lifetime"])
            if "dpd-maximum-failures" in row:
                read.dpd = (_seconds(row["dpd-interval"]), int(row["dpd-maximum-failures"]))
        elif path == "/ip ipsec proposal":
            hashes = [one for one in row["auth-algorithms"].split(",") if one != "null"]
            read.esp = product(row["enc-algorithms"].split(","), hashes)
            read.pfs = None if row["pfs-group"] == "none" else group(row["pfs-group"])
            read.esp_lifetime = _seconds(row["lifetime"])
        elif path == "/ip ipsec peer":
            read.remote_address, read.exchange = row["address"], row["exchange-mode"]
        elif path == "/ip ipsec identity":
            assert row["auth-method"] == "pre-shared-key"
            read.secret, read.local_id, read.remote_id = row["secret"], row.get("my-id"), row.get("remote-id")
        elif path == "/ip ipsec policy":
            read.pairs.append((row["src-address"], row["dst-address"]))
            assert row["tunnel"] == "yes" and row["level"] == "unique"
        else:
            assert path == "/ip firewall nat" and (row["src-address"], row["dst-address"]) in read.pairs
    return read


def _set_lines(text: str) -> dict[str, list[list[str]]]:
    """``set`` lines by what is before the last words: path → lists of the words after it, brackets resolved."""
    found: dict[str, list[list[str]]] = {}
    for line in text.splitlines():
        verb, *words = shlex.split(line)
        assert verb == "set", line
        for size in range(1, len(words)):
            found.setdefault(" ".join(words[:size]), []).append([w for w in words[size:] if w not in "[]"])
    return found


def palo_alto(text: str) -> Read:
    rows = _set_lines(text)

    def get(path: str) -> list[str]:
        [found] = rows[path]
        return found

    name = get("network ike gateway X protocol version".replace("X", _name(rows, "network ike gateway")))
    assert name == ["ikev1"]
    name1 = _name(rows, "network ike gateway")
    gateway, tunnel = f"network ike gateway {name1}", f"network tunnel ipsec {name1}"
    profile = get(f"{gateway} protocol ikev1 ike-crypto-profile")[0]
    second = get(f"{tunnel} auto-key ipsec-crypto-profile")[0]
    ike = f"network ike crypto-profiles ike-crypto-profiles {profile}"
    esp = f"network ike crypto-profiles ipsec-crypto-profiles {second}"
    dh = get(f"{esp} dh-group")[0]
    dpd = get(f"{gateway} protocol ikev1 dpd interval") if f"{gateway} protocol ikev1 dpd interval" in rows else []
    read = Read(
        remote_address=get(f"{gateway} peer-address")[1],
        exchange=get(f"{gateway} protocol ikev1 exchange-mode")[0],
        ike={
            (cipher(c), digest(h), group(g))
            for c in get(f"{ike} encryption")
            for h in get(f"{ike} hash")
            for g in get(f"{ike} dh-group")
        },
        ike_lifetime=int(get(f"{ike} lifetime seconds")[0]),
        esp=product(get(f"{esp} esp encryption"), [h for h in get(f"{esp} esp authentication") if h != "none"]),
        pfs=None if dh == "no-pfs" else group(dh),
        esp_lifetime=int(get(f"{esp} lifetime seconds")[0]),
        secret=get(f"{gateway} authentication pre-shared-key key")[0],
        dpd=(int(dpd[0]), int(dpd[2])) if dpd else (),
    )
    for end in ("local", "peer"):
        found = rows.get(f"{gateway} {end}-id")
        setattr(read, "local_id" if end == "local" else "remote_id", found[0][3] if found else None)
    for words in rows[f"{tunnel} auto-key proxy-id"]:
        assert words[1] == "local" and words[3] == "remote" and words[5:] == ["protocol", "any"]
        read.pairs.append((words[2], words[4]))
    routes = {words[2] for words in rows["network virtual-router default routing-table ip static-route"]}
    assert routes == {theirs for _, theirs in read.pairs}
    return read


def _name(rows: dict[str, list[list[str]]], path: str) -> str:
    [name] = {words[0] for words in rows[path]}
    return name


def junos(text: str) -> Read:
    rows = _set_lines(text)

    def get(path: str) -> list[str]:
        [found] = rows[path]
        return found

    name = _name(rows, "security ipsec vpn")
    gateway = f"security ike gateway {get(f'security ipsec vpn {name} ike gateway')[0]}"
    policy = f"security ike policy {get(f'{gateway} ike-policy')[0]}"
    second = f"security ipsec policy {get(f'security ipsec vpn {name} ike ipsec-policy')[0]}"
    assert get(f"{gateway} version") == ["v1-only"]
    dpd = rows.get(f"{gateway} dead-peer-detection", [[]])[0]
    read = Read(
        remote_address=get(f"{gateway} address")[0],
        exchange=get(f"{policy} mode")[0],
        secret=get(f"{policy} pre-shared-key ascii-text")[0],
        dpd=(int(dpd[1]), int(dpd[3])) if dpd else (),
    )
    for one in get(f"{policy} proposals"):
        row = f"security ike proposal {one}"
        words = [get(f"{row} {key}")[0] for key in ("encryption-algorithm", "authentication-algorithm", "dh-group")]
        read.ike.add((cipher(words[0]), digest(words[1]), group(words[2])))
        read.ike_lifetime = int(get(f"{row} lifetime-seconds")[0])
    for one in get(f"{second} proposals"):
        row = f"security ipsec proposal {one}"
        integrity = rows.get(f"{row} authentication-algorithm")
        read.esp.add((cipher(get(f"{row} encryption-algorithm")[0]), digest(integrity[0][0]) if integrity else None))
        read.esp_lifetime = int(get(f"{row} lifetime-seconds")[0])
        kilobytes = rows.get(f"{row} lifetime-kilobytes")
        read.esp_kb = int(kilobytes[0][0]) if kilobytes else None
    pfs = rows.get(f"{second} perfect-forward-secrecy keys")
    read.pfs = group(pfs[0][0]) if pfs else None
    for words in rows[f"security ipsec vpn {name} traffic-selector"]:
        assert words[1] == "local-ip" and words[3] == "remote-ip"
        read.pairs.append((words[2], words[4]))
    for word in ("local", "remote"):
        found = rows.get(f"{gateway} {word}-identity")
        setattr(read, f"{word}_id", found[0][1] if found else None)
    return read
