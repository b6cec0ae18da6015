"""AWS's and Azure's downloads, which are written for this side, and what is written for them."""

from __future__ import annotations

import json
import re
import shlex
import xml.etree.ElementTree as ET
from typing import Any

from dashboard.peerside.importing import words
from dashboard.peerside.importing.found import Found

_SECOND = "AWS has a second tunnel: add it as a peer of its own, or as a further address of this one."
_CIDRS = "The text does not say which subnets are in the cloud: enter them as Private subnets."


def _number(text: object) -> int | None:
    found = re.search(r"\d{1,9}", str(text))
    return int(found[0]) if found else None


def _proposals(found: Found, ike: tuple[str, str, str], esp: tuple[str, str], pfs: str) -> None:
    """One proposal of each phase, in the maker's words."""
    cipher, digest, group = words.ike_cipher(ike[0]), words.digest(ike[1]), words.group(ike[2])
    if cipher and digest and group:
        found.ike.append((cipher, digest, group))
    else:
        found.unknown.append(f"Phase 1 could not be read: {words.shown(', '.join(ike))}.")
    second, integrity = words.cipher(esp[0]), words.integrity(esp[1])
    if second and ("gcm" in second or integrity):
        found.esp.append((second, None if "gcm" in second else integrity))
    else:
        found.unknown.append(f"Phase 2 could not be read: {words.shown(', '.join(esp))}.")
    found.pfs = words.group(pfs) if pfs and pfs.lower() != "none" else None


def _labelled(text: str) -> dict[str, list[str]]:
    """Lines like ``- Label : value``; a label may come more than once."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        label, colon, value = line.strip(" \t-+>#!*|").partition(":")
        if colon and value.strip():
            key = re.sub(r"[^a-z0-9]+", " ", label.lower()).strip()
            found.setdefault(key, []).append(value.strip())
    return found


def _nth(rows: dict[str, list[str]], key: str, number: int = 0) -> str:
    values = rows.get(key, [])
    return values[number] if len(values) > number else ""


def aws_text(text: str) -> Found:
    """The download “Generic”: what this side is to be set to. The first of its two tunnels."""
    found = Found(name="AWS")
    parts = re.split(r"(?i)ipsec tunnel #\d", text)
    rows = _labelled(parts[1] if len(parts) > 1 else text)
    if len(parts) > 2:
        found.assumed.append(_SECOND)
    if "2" in _nth(rows, "ike version"):
        found.assumed.append("The text is for IKEv2: choose IKEv1 in the tunnel's options, and download it again.")
    ike = tuple(_nth(rows, key) for key in ("encryption algorithm", "authentication algorithm", "diffie hellman"))
    pfs = _nth(rows, "perfect forward secrecy")
    if not ike[2]:
        # Older downloads say the group of phase 1 under the name of PFS, once in each phase.
        ike, pfs = (*ike[:2], pfs), _nth(rows, "perfect forward secrecy", 1)
    esp = (_nth(rows, "encryption algorithm", 1), _nth(rows, "authentication algorithm", 1))
    _proposals(found, ike, esp, pfs)  # type: ignore[arg-type]
    found.ike_lifetime, found.esp_lifetime = _number(_nth(rows, "lifetime")), _number(_nth(rows, "lifetime", 1))
    found.exchange = "aggressive" if "aggressive" in _nth(rows, "phase 1 negotiation mode").lower() else "main"
    found.secret = _nth(rows, "pre shared key")
    found.remote = _nth(rows, "virtual private gateway") or _nth(rows, "transit gateway")
    found.local = _nth(rows, "customer gateway")
    interval, tries = _number(_nth(rows, "dpd interval")), _number(_nth(rows, "dpd retries"))
    if interval and tries:
        found.dpd = (interval, interval * (tries + 1))
    found.assumed.append(_CIDRS)
    return found


def aws_xml(text: str) -> Found:
    """``CustomerGatewayConfiguration`` as AWS's API has it. Entities are refused before it is parsed."""
    found = Found(name="AWS")
    root = ET.fromstring(text)  # noqa: S314 - documents with a DTD are refused in ``read``
    tunnels = root.findall(".//ipsec_tunnel")
    if not tunnels:
        return found
    if len(tunnels) > 1:
        found.assumed.append(_SECOND)
    tunnel = tunnels[0]

    def say(path: str) -> str:
        return (tunnel.findtext(path) or "").strip()

    ike = (say("ike/encryption_protocol"), say("ike/authentication_protocol"), say("ike/perfect_forward_secrecy"))
    esp = (say("ipsec/encryption_protocol"), say("ipsec/authentication_protocol"))
    _proposals(found, ike, esp, say("ipsec/perfect_forward_secrecy"))
    found.ike_lifetime, found.esp_lifetime = _number(say("ike/lifetime")), _number(say("ipsec/lifetime"))
    found.exchange = "aggressive" if say("ike/mode") == "aggressive" else "main"
    found.secret = say("ike/pre_shared_key")
    found.remote = say("vpn_gateway/tunnel_outside_address/ip_address")
    found.local = say("customer_gateway/tunnel_outside_address/ip_address")
    found.assumed.append(_CIDRS)
    return found


def aws_commands(text: str) -> Found:
    """The command ``aws ec2 create-vpn-connection`` with its options."""
    found = Found(name="AWS")
    parts = shlex.split(text)
    options = next((parts[n + 1] for n, part in enumerate(parts[:-1]) if part == "--options"), "{}")
    row: dict[str, Any] = json.loads(options)
    tunnel = (row.get("TunnelOptions") or [{}])[0]

    def many(name: str) -> list[str]:
        return [str(one["Value"]) for one in tunnel.get(name, [])]

    for cipher in many("Phase1EncryptionAlgorithms"):
        for digest in many("Phase1IntegrityAlgorithms"):
            for group in many("Phase1DHGroupNumbers"):
                triple = (words.ike_cipher(cipher), words.digest(digest), words.group(group))
                if all(triple):
                    found.ike.append(triple)  # type: ignore[arg-type]
    for cipher in many("Phase2EncryptionAlgorithms"):
        name = words.cipher(cipher)
        hashes = (
            [None] if name and "gcm" in name else [words.integrity(one) for one in many("Phase2IntegrityAlgorithms")]
        )
        found.esp += [(name, one) for one in hashes if name]
    groups = many("Phase2DHGroupNumbers")
    found.pfs = words.group(groups[0]) if groups else None
    found.ike_lifetime = _number(tunnel.get("Phase1LifetimeSeconds", ""))
    found.esp_lifetime = _number(tunnel.get("Phase2LifetimeSeconds", ""))
    found.secret = str(tunnel.get("PreSharedKey", ""))
    found.local = next((parts[n + 1] for n, part in enumerate(parts[:-1]) if part == "--ip-address"), "")
    for key, where in (("RemoteIpv4NetworkCidr", "remote"), ("LocalIpv4NetworkCidr", "local")):
        subnet = words.network(str(row.get(key, "")))
        if subnet:
            found.subnet(where, subnet)
    found.assumed.append("AWS chooses its address itself: enter the tunnel's outside address as Public address.")
    return found


def azure_text(text: str) -> Found:
    """The download “Generic samples, device parameters”."""
    found, rows = Found(name="Azure"), _labelled(text)
    if "2" in _nth(rows, "ike version"):
        found.assumed.append("The text is for IKEv2: set the connection's protocol to IKEv1 on Azure's side.")
    find = next(
        (
            key
            for key in ("azure vpn gateway public ip", "public ip 1", "public ip address 1", "public ip")
            if key in rows
        ),
        "",
    )
    found.remote = _nth(rows, find).split(" ")[0].split(",")[0]
    found.secret = _nth(rows, "pre shared key")
    hashes = rows.get("integrity algorithm") or rows.get("integrityalgorithm") or rows.get("hashing algorithm") or []
    ike = (_nth(rows, "encryption algorithm"), hashes[0] if hashes else "", _nth(rows, "diffie hellman group"))
    esp = (_nth(rows, "encryption algorithm", 1), hashes[1] if len(hashes) > 1 else "")
    _proposals(found, ike, esp, _nth(rows, "pfs group"))
    lives = rows.get("sa lifetime seconds", [])
    found.ike_lifetime = _number(lives[0]) if lives else None
    found.esp_lifetime = _number(lives[1]) if len(lives) > 1 else None
    found.esp_lifetime_kb = _number(_nth(rows, "sa data size kb"))
    _azure_subnets(found, text)
    return found


def _azure_subnets(found: Found, text: str) -> None:
    """Prefixes belong to the heading above them: the virtual network's, or this site's."""
    where = ""
    for line in text.splitlines():
        low = line.lower()
        if "cidr" not in low and ("address space" in low or "address prefix" in low):
            where = "remote" if "virtual network" in low or "vnet" in low or "azure" in low else "local"
        for match in re.findall(r"\d{1,3}(?:\.\d{1,3}){3}/\d{1,2}", line):
            subnet = words.network(match)
            if subnet and where:
                found.subnet(where, subnet)


def azure_template(text: str) -> Found:
    """A template with a connection and its local network gateway."""
    found, document = Found(name="Azure"), json.loads(text)
    for resource in document.get("resources", []):
        kind, row = str(resource.get("type", "")).lower(), resource.get("properties", {})
        if kind.endswith("/localnetworkgateways"):
            found.local = str(row.get("gatewayIpAddress") or row.get("fqdn") or "")
            for text_ in row.get("localNetworkAddressSpace", {}).get("addressPrefixes", []):
                if subnet := words.network(str(text_)):
                    found.subnet("local", subnet)
        elif kind.endswith("/connections"):
            _azure_connection(found, row)
    default = document.get("parameters", {}).get("sharedKey", {}).get("defaultValue")
    found.secret = default if isinstance(default, str) else found.secret
    found.assumed.append("The template does not say the gateway's address: enter it as Public address.")
    return found


def _azure_connection(found: Found, row: dict[str, Any]) -> None:
    if str(row.get("connectionProtocol", "")).lower() != "ikev1":
        found.assumed.append("Set the connection's protocol to IKEv1 on Azure's side.")
    key = str(row.get("sharedKey", ""))
    found.secret = "" if key.startswith("[") else key
    for policy in row.get("ipsecPolicies", [])[:1]:
        ike = tuple(str(policy.get(name, "")) for name in ("ikeEncryption", "ikeIntegrity", "dhGroup"))
        esp = tuple(str(policy.get(name, "")) for name in ("ipsecEncryption", "ipsecIntegrity"))
        _proposals(found, ike, esp, str(policy.get("pfsGroup", "")))  # type: ignore[arg-type]
        found.esp_lifetime = _number(policy.get("saLifeTimeSeconds", ""))
        found.esp_lifetime_kb = _number(policy.get("saDataSizeKilobytes", "")) or None
    for pair in row.get("trafficSelectorPolicies", []):
        for name, where in (("localAddressRanges", "remote"), ("remoteAddressRanges", "local")):
            for text in pair.get(name, []):
                if subnet := words.network(str(text)):
                    found.subnet(where, subnet)
