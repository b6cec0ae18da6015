"""Gateways that are told in JSON: AWS, Azure, and Meraki's API."""

from __future__ import annotations

import json
import shlex
from typing import Any

from dashboard.peerside.facts import OtherSide
from dashboard.peerside.renderers.words import ours, starts
from dashboard.peerside.vendors import Vendor


def _values(names: list[str]) -> list[dict[str, str]]:
    return [{"Value": name} for name in dict.fromkeys(names)]


def _numbers(names: list[str]) -> list[dict[str, int]]:
    return [{"Value": int(name)} for name in dict.fromkeys(names)]


def aws(side: OtherSide, vendor: Vendor) -> str:
    """Three commands of the AWS command line. AWS is the other gateway, this site its customer gateway."""
    name, pair = side.name(), side.pairs[0]
    tunnel: dict[str, Any] = {
        "PreSharedKey": side.secret.replace(" ", "_"),
        "IKEVersions": [{"Value": "ikev1"}],
        "Phase1EncryptionAlgorithms": _values([vendor.ike_encryption[one.encryption] for one in side.ike]),
        "Phase1IntegrityAlgorithms": _values([vendor.hashes[one.hash] for one in side.ike]),
        "Phase1DHGroupNumbers": _numbers([vendor.groups[group] for group in side.groups]),
        "Phase1LifetimeSeconds": side.ike_lifetime,
        "Phase2EncryptionAlgorithms": _values([vendor.esp_encryption[one.encryption] for one in side.esp]),
        "Phase2IntegrityAlgorithms": _values(_integrity(side, vendor)),
        "Phase2DHGroupNumbers": _numbers([vendor.groups[side.pfs]] if side.pfs else []),
        "Phase2LifetimeSeconds": side.esp_lifetime,
        "StartupAction": "start" if starts(side) else "add",
    }
    if side.dpd_delay:
        tunnel["DPDTimeoutSeconds"] = max(30, side.dpd_timeout)
    options = {
        "StaticRoutesOnly": True,
        "LocalIpv4NetworkCidr": pair.remote,
        "RemoteIpv4NetworkCidr": pair.local,
        "TunnelOptions": [tunnel],
    }
    tags = json.dumps([{"ResourceType": "vpn-connection", "Tags": [{"Key": "Name", "Value": name}]}])
    lines = [
        f"aws ec2 create-customer-gateway --type ipsec.1 --bgp-asn 65000 --ip-address {ours(side)}",
        "aws ec2 create-vpn-connection --type ipsec.1 --customer-gateway-id CGW_ID --vpn-gateway-id VGW_ID "
        f"--options {shlex.quote(json.dumps(options, indent=2))} --tag-specifications {shlex.quote(tags)}",
        *(
            f"aws ec2 create-vpn-connection-route --vpn-connection-id VPN_ID --destination-cidr-block {subnet}"
            for subnet in side.remote_subnets
        ),
    ]
    return "\n".join(lines) + "\n"


def _integrity(side: OtherSide, vendor: Vendor) -> list[str]:
    """GCM counts nothing here, but the list may not be empty."""
    return [vendor.integrity[one.integrity] for one in side.esp if one.integrity] or ["SHA2-256"]


def azure(side: OtherSide, vendor: Vendor) -> str:
    """A template for “Deploy a custom template”; the virtual network gateway is there already."""
    name = side.name()
    ike, esp = side.ike[0], side.esp[0]
    cipher = vendor.esp_encryption[esp.encryption]
    policy = {
        "saLifeTimeSeconds": side.esp_lifetime,
        "saDataSizeKilobytes": side.esp_lifetime_kb or 0,
        "ipsecEncryption": cipher,
        "ipsecIntegrity": vendor.integrity[esp.integrity] if esp.integrity else cipher,
        "ikeEncryption": vendor.ike_encryption[ike.encryption],
        "ikeIntegrity": vendor.hashes[ike.hash],
        "dhGroup": vendor.groups[ike.group],
        "pfsGroup": vendor.pfs_groups[side.pfs] if side.pfs else "None",
    }
    gateway = "[resourceId('Microsoft.Network/virtualNetworkGateways', parameters('virtualNetworkGateway'))]"
    local = f"[resourceId('Microsoft.Network/localNetworkGateways', '{name}')]"
    address = "gatewayIpAddress" if _numeric(ours(side)) else "fqdn"
    common = {"apiVersion": "2023-09-01", "location": "[resourceGroup().location]"}
    template = {
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        "parameters": {
            "virtualNetworkGateway": {"type": "string"},
            "sharedKey": {"type": "securestring", "defaultValue": side.secret},
        },
        "resources": [
            {
                "type": "Microsoft.Network/localNetworkGateways",
                "name": name,
                **common,
                "properties": {
                    address: ours(side),
                    "localNetworkAddressSpace": {"addressPrefixes": list(side.remote_subnets)},
                },
            },
            {
                "type": "Microsoft.Network/connections",
                "name": name,
                **common,
                "dependsOn": [local],
                "properties": {
                    "connectionType": "IPsec",
                    "connectionProtocol": "IKEv1",
                    "connectionMode": "InitiatorOnly" if starts(side) else "Default",
                    "virtualNetworkGateway1": {"id": gateway},
                    "localNetworkGateway2": {"id": local},
                    "sharedKey": "[parameters('sharedKey')]",
                    "dpdTimeoutSeconds": min(3600, max(9, side.dpd_timeout)),
                    "usePolicyBasedTrafficSelectors": True,
                    "trafficSelectorPolicies": [
                        {"localAddressRanges": [pair.local], "remoteAddressRanges": [pair.remote]}
                        for pair in side.pairs
                    ],
                    "ipsecPolicies": [policy],
                },
            },
        ],
    }
    return json.dumps(template, indent=2) + "\n"


def _numeric(text: str) -> bool:
    return text.replace(".", "").isdecimal() or "_" in text


def meraki(side: OtherSide, vendor: Vendor) -> str:
    """One entry for ``thirdPartyVPNPeers`` of Meraki's API; the dashboard's fields have the same names."""
    ike = side.ike[0]
    entry: dict[str, Any] = {
        "name": side.name(),
        "publicIp": ours(side),
        "ikeVersion": "1",
        "privateSubnets": list(side.remote_subnets),
        "secret": side.secret,
        "networkTags": ["all"],
        "ipsecPolicies": {
            "ikeCipherAlgo": [vendor.ike_encryption[ike.encryption]],
            "ikeAuthAlgo": [vendor.hashes[ike.hash]],
            "ikeDiffieHellmanGroup": [vendor.groups[ike.group]],
            "ikeLifetime": side.ike_lifetime,
            "childCipherAlgo": list(dict.fromkeys(vendor.esp_encryption[one.encryption] for one in side.esp)),
            "childAuthAlgo": list(dict.fromkeys(vendor.integrity[one.integrity] for one in side.esp if one.integrity)),
            "childPfsGroup": [vendor.groups[side.pfs] if side.pfs else "disabled"],
            "childLifetime": side.esp_lifetime,
        },
    }
    if side.remote_identity is not None and side.remote_identity.value != side.remote_address:
        entry["remoteId"] = side.remote_identity.value
    if side.local_identity is not None:
        entry["localId"] = side.local_identity.value
    return json.dumps({"peers": [entry]}, indent=2) + "\n"
