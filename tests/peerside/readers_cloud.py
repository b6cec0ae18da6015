"""Readers of what clouds are told in JSON."""

from __future__ import annotations

import json
import re
import shlex

from tests.peerside import readers
from tests.peerside.readers import Read, cipher, digest, group, product


def aws(text: str) -> Read:
    commands = [shlex.split(line) for line in re.split(r"\n(?=aws )", text.strip())]
    gateway, connection, *routes = [dict(zip(c[3::2], c[4::2], strict=True)) for c in commands]
    assert [c[2] for c in commands[:2]] == ["create-customer-gateway", "create-vpn-connection"]
    options = json.loads(connection["--options"])
    [tunnel] = options["TunnelOptions"]
    assert tunnel["IKEVersions"] == [{"Value": "ikev1"}] and options["StaticRoutesOnly"] is True
    many = lambda name: [str(one["Value"]) for one in tunnel[name]]  # noqa: E731
    read = Read(
        remote_address=gateway["--ip-address"],
        ike={
            (cipher(c), digest(h), group(g))
            for c in many("Phase1EncryptionAlgorithms")
            for h in many("Phase1IntegrityAlgorithms")
            for g in many("Phase1DHGroupNumbers")
        },
        ike_lifetime=tunnel["Phase1LifetimeSeconds"],
        esp=product(many("Phase2EncryptionAlgorithms"), many("Phase2IntegrityAlgorithms")),
        pfs=group(many("Phase2DHGroupNumbers")[0]),
        esp_lifetime=tunnel["Phase2LifetimeSeconds"],
        pairs=[(options["RemoteIpv4NetworkCidr"], options["LocalIpv4NetworkCidr"])],
        secret=tunnel["PreSharedKey"],
        dpd=(tunnel["DPDTimeoutSeconds"],),
    )
    assert [route["--destination-cidr-block"] for route in routes] == [options["LocalIpv4NetworkCidr"]]
    return read


def azure(text: str) -> Read:
    template = json.loads(text)
    local, connection = (row["properties"] for row in template["resources"])
    [policy] = connection["ipsecPolicies"]
    assert connection["connectionProtocol"] == "IKEv1" and connection["usePolicyBasedTrafficSelectors"] is True
    gcm = policy["ipsecIntegrity"].startswith("GCM")
    assert not gcm or policy["ipsecIntegrity"] == policy["ipsecEncryption"]
    pairs = [
        (pair["localAddressRanges"][0], pair["remoteAddressRanges"][0])
        for pair in connection["trafficSelectorPolicies"]
    ]
    assert local["localNetworkAddressSpace"]["addressPrefixes"] == list(dict.fromkeys(b for _, b in pairs))
    pfs = policy["pfsGroup"]
    return Read(
        remote_address=local["gatewayIpAddress"],
        ike={(cipher(policy["ikeEncryption"]), digest(policy["ikeIntegrity"]), group(policy["dhGroup"]))},
        esp={(cipher(policy["ipsecEncryption"]), None if gcm else digest(policy["ipsecIntegrity"]))},
        pfs=None if pfs == "None" else group(pfs),
        esp_lifetime=policy["saLifeTimeSeconds"],
        esp_kb=policy["saDataSizeKilobytes"] or None,
        pairs=pairs,
        secret=template["parameters"]["sharedKey"]["defaultValue"],
        dpd=(connection["dpdTimeoutSeconds"],),
    )


def meraki(text: str) -> Read:
    [peer] = json.loads(text)["peers"]
    row = peer["ipsecPolicies"]
    assert peer["ikeVersion"] == "1"
    [pfs] = row["childPfsGroup"]
    return Read(
        remote_address=peer["publicIp"],
        ike={(cipher(row["ikeCipherAlgo"][0]), digest(row["ikeAuthAlgo"][0]), group(row["ikeDiffieHellmanGroup"][0]))},
        ike_lifetime=row["ikeLifetime"],
        esp=product(row["childCipherAlgo"], row["childAuthAlgo"]),
        pfs=None if pfs == "disabled" else group(pfs),
        esp_lifetime=row["childLifetime"],
        pairs=[("", subnet) for subnet in peer["privateSubnets"]],
        secret=peer["secret"],
        local_id=peer.get("localId"),
        remote_id=peer.get("remoteId"),
    )


READERS = {
    "strongswan": readers.swanctl,
    "opnsense": readers.swanctl,
    "asa": readers.asa,
    "iosxe": readers.ios_xe,
    "fortigate": readers.fortigate,
    "pfsense": readers.pfsense,
    "mikrotik": readers.mikrotik,
    "paloalto": readers.palo_alto,
    "juniper": readers.junos,
    "aws": aws,
    "azure": azure,
    "meraki": meraki,
}
