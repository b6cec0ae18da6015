"""The gateways that configurations are written for. What is missing in a table, that gateway cannot do in IKEv1."""

from __future__ import annotations

from dashboard.peerside.renderers import cisco, clouds, fortigate, mikrotik, pfsense, sets, swanctl
from dashboard.peerside.vendors import GROUP_NUMBERS, Vendor, groups
from vpnengine.contract.algorithms import DhGroup, EspEncryption, EspIntegrity, IkeEncryption, IkeHash
from vpnengine.contract.identity import IdentityType

_ADDRESS = frozenset({IdentityType.IPV4})
_NAMES = _ADDRESS | {IdentityType.FQDN, IdentityType.USER_FQDN}
_STRONG = (
    "Choose the policy “Strong (recommended)”, or in a custom one aes256, sha256, modp2048 for phase 1 and "
    "aes256gcm16 or aes256 with sha256 for phase 2."
)
_OLD = (
    "Choose the policy “Cisco ASA”, or in a custom one aes256, sha1, modp2048 for phase 1 and aes256, sha1 for phase 2."
)
_CBC = (
    "Choose the policy “Cisco Meraki MX”, or in a custom one aes256, sha256, modp2048 for phase 1 and aes256, sha256 "
    "for phase 2; it knows no GCM."
)
_PLAIN_HASHES = {"md5": "md5", "sha1": "sha1", "sha256": "sha256", "sha384": "sha384", "sha512": "sha512"}


def _same(kind: type) -> dict[str, str]:
    return {one.value: one.value for one in kind}  # type: ignore[attr-defined]


def _without(table: dict[str, str], *names: str) -> dict[str, str]:
    return {ours: theirs for ours, theirs in table.items() if ours not in names}


def _aes(form: str) -> dict[str, str]:
    """The three lengths of AES in CBC, in a maker's form."""
    return {f"aes{size}": form.format(size) for size in (128, 192, 256)}


def _gcm(form: str, *sizes: int) -> dict[str, str]:
    return {f"aes{size}gcm16": form.format(size) for size in sizes or (128, 192, 256)}


_SWANCTL = {
    "render": swanctl.render,
    "ike_encryption": _same(IkeEncryption),
    "hashes": _same(IkeHash),
    "groups": _same(DhGroup),
    "esp_encryption": _same(EspEncryption),
    "integrity": _same(EspIntegrity),
    "advice": _STRONG,
    "local_identities": frozenset(IdentityType),
    "remote_identities": frozenset(IdentityType),
    "kilobytes": True,
    "certificates": True,
    "transport": True,
    "ah": True,
    "esn": True,
    "ports": True,
    "ranges": True,
}

STRONGSWAN = Vendor(
    key="strongswan",
    title="strongSwan (swanctl)",
    file="culvert.conf",
    where="Save it as /etc/swanctl/conf.d/culvert.conf, then run: swanctl --load-all.",
    **_SWANCTL,
)
OPNSENSE = Vendor(
    key="opnsense",
    title="OPNsense",
    file="culvert.conf",
    where="OPNsense runs strongSwan: save it as /usr/local/etc/swanctl/conf.d/culvert.conf and restart IPsec.",
    always=("Firewall, Rules, IPsec: let the traffic of the tunnel in; OPNsense blocks it at first.",),
    **_SWANCTL,
)
ASA = Vendor(
    key="asa",
    title="Cisco ASA",
    file="culvert-asa.txt",
    where="Paste it in configuration mode (configure terminal). Mend the names outside, inside and outside_map if "
    "yours are others.",
    render=cisco.asa,
    ike_encryption={"3des": "3des", "aes128": "aes", "aes192": "aes-192", "aes256": "aes-256"},
    hashes={"md5": "md5", "sha1": "sha"},
    groups=groups(2, 5, 14),
    esp_encryption={"3des": "esp-3des", "aes128": "esp-aes", "aes192": "esp-aes-192", "aes256": "esp-aes-256"}
    | {"null": "esp-null"},
    integrity={"md5": "esp-md5-hmac", "sha1": "esp-sha-hmac"},
    advice=_OLD + " ASA knows SHA-2 and GCM in IKEv2 only.",
    ike_lifetime=(120, 86_400),
    kilobytes=True,
    local_identities=_ADDRESS | {IdentityType.KEY_ID},
    host_names=False,
    quotes='"\\ ?',
    always=("An entry 10 of outside_map that is there already would be changed: take a free number then.",),
)
IOS_XE = Vendor(
    key="iosxe",
    title="Cisco IOS-XE",
    file="culvert-ios.txt",
    where="Paste it in configuration mode (configure terminal). Mend GigabitEthernet1 if the way to the internet is "
    "another.",
    render=cisco.ios_xe,
    ike_encryption={"3des": "3des", "aes128": "aes 128", "aes192": "aes 192", "aes256": "aes 256"},
    hashes={"md5": "md5", "sha1": "sha", "sha256": "sha256", "sha384": "sha384", "sha512": "sha512"},
    groups=groups(2, 5, 14, 15, 16, 19, 20, 21),
    esp_encryption={"3des": "esp-3des", "null": "esp-null"} | _aes("esp-aes {}") | _gcm("esp-gcm {}"),
    integrity={name: f"esp-{theirs}-hmac" for name, theirs in {**_PLAIN_HASHES, "sha1": "sha"}.items()},
    advice=_STRONG,
    kilobytes=True,
    transport=True,
    local_identities=_NAMES,
    remote_identities=_NAMES | {IdentityType.KEY_ID},
    ipv6=False,
    host_names=False,
    quotes='"\\ ?',
    always=("If addresses are translated on this router, exempt the tunnel's subnets from it.",),
)
FORTIGATE = Vendor(
    key="fortigate",
    title="FortiGate",
    file="culvert-fortigate.txt",
    where="Paste it into the CLI console. Mend wan1 and internal if your interfaces have other names.",
    render=fortigate.render,
    ike_encryption={"3des": "3des"} | _aes("aes{}"),
    hashes=_PLAIN_HASHES,
    groups={name: str(number) for name, number in GROUP_NUMBERS.items()},
    esp_encryption={"3des": "3des", "null": "null"} | _aes("aes{}") | _gcm("aes{}gcm", 128, 256),
    integrity=_PLAIN_HASHES,
    advice=_STRONG,
    ike_lifetime=(120, 172_800),
    kilobytes=True,
    host_names=False,
)
PFSENSE = Vendor(
    key="pfsense",
    title="pfSense",
    file="culvert-pfsense.xml",
    where="Diagnostics, Backup & Restore: choose IPsec as the restore area and this file.",
    render=pfsense.render,
    ike_encryption={"3des": "3des"}
    | _aes("aes {}")
    | {f"camellia{size}": f"camellia {size}" for size in (128, 192, 256)},
    hashes=_PLAIN_HASHES,
    groups={name: str(number) for name, number in GROUP_NUMBERS.items()},
    esp_encryption={"3des": "3des", "null": "null"}
    | _aes("aes {}")
    | {f"aes{size}gcm{icv}": f"aes{size}gcm {icv * 8}" for size in (128, 192, 256) for icv in (8, 12, 16)},
    integrity={name: f"hmac_{name}" for name in _PLAIN_HASHES},
    advice=_STRONG,
    always=(
        "Restoring replaces all IPsec tunnels that pfSense has. If there are others, put phase1 and phase2 into a "
        "backup of that area, with a free ikeid, and restore that.",
        "Firewall, Rules, IPsec: let the traffic of the tunnel in; pfSense blocks it at first.",
    ),
    quotes="",
)
MIKROTIK = Vendor(
    key="mikrotik",
    title="MikroTik RouterOS",
    file="culvert.rsc",
    where="Paste it into a terminal of RouterOS 7.",
    render=mikrotik.render,
    ike_encryption={"3des": "3des"}
    | _aes("aes-{}")
    | {f"camellia{size}": f"camellia-{size}" for size in (128, 192, 256)},
    hashes=_PLAIN_HASHES,
    groups=_without(_same(DhGroup), "curve25519"),
    esp_encryption={"3des": "3des", "null": "null"}
    | _aes("aes-{}-cbc")
    | _gcm("aes-{}-gcm")
    | {f"aes{size}ctr": f"aes-{size}-ctr" for size in (128, 192, 256)}
    | {f"camellia{size}": f"camellia-{size}" for size in (128, 192, 256)},
    integrity=_without(_PLAIN_HASHES, "sha384"),
    advice=_STRONG,
    one_hash=True,
    transport=True,
    ports=True,
    host_names=True,
    quotes='"\\$',
)
PALO_ALTO = Vendor(
    key="paloalto",
    title="Palo Alto Networks",
    file="culvert-panos.txt",
    where="Paste it in configure mode, then commit. Mend ethernet1/1, the virtual router and the zone if yours have "
    "other names.",
    render=sets.palo_alto,
    ike_encryption={"3des": "3des"} | _aes("aes-{}-cbc"),
    hashes=_PLAIN_HASHES,
    groups=groups(2, 5, 14, 15, 16, 19, 20, 21, prefix="group"),
    esp_encryption={"3des": "3des", "null": "null", "aes128ccm16": "aes-128-ccm"}
    | _aes("aes-{}-cbc")
    | _gcm("aes-{}-gcm", 128, 256),
    integrity=_PLAIN_HASHES,
    advice=_STRONG,
    ike_lifetime=(180, 65_535),
    esp_lifetime=(180, 65_535),
    ports=False,
    pairs=250,
    always=("Security policies have to allow the traffic between your zones and the zone vpn.",),
)
JUNIPER = Vendor(
    key="juniper",
    title="Juniper SRX",
    file="culvert-junos.txt",
    where="Paste it in configuration mode, then commit. Mend ge-0/0/0.0 if the way to the internet is another.",
    render=sets.junos,
    ike_encryption={"3des": "3des-cbc"} | _aes("aes-{}-cbc"),
    hashes={"md5": "md5", "sha1": "sha1", "sha256": "sha-256", "sha384": "sha-384", "sha512": "sha-512"},
    groups=groups(2, 5, 14, 15, 16, 19, 20, 21, prefix="group"),
    esp_encryption={"3des": "3des-cbc"} | _aes("aes-{}-cbc") | _gcm("aes-{}-gcm"),
    integrity={"md5": "hmac-md5-96", "sha1": "hmac-sha1-96", "sha256": "hmac-sha-256-128"},
    advice=_STRONG,
    ike_lifetime=(180, 86_400),
    esp_lifetime=(180, 86_400),
    kilobytes=True,
    always=("Security policies have to allow the traffic between your zones and the zone vpn.",),
)
AWS = Vendor(
    key="aws",
    title="AWS Site-to-Site VPN",
    file="culvert-aws.sh",
    where="Run it in CloudShell; put the ids that each command prints in the place of CGW_ID, VGW_ID and VPN_ID.",
    render=clouds.aws,
    ike_encryption={"aes128": "AES128", "aes256": "AES256"},
    hashes={"sha1": "SHA1", "sha256": "SHA2-256", "sha384": "SHA2-384", "sha512": "SHA2-512"},
    groups={name: str(number) for name, number in GROUP_NUMBERS.items() if number in (2, *range(14, 22))},
    pfs={name: str(number) for name, number in GROUP_NUMBERS.items() if number in (2, 5, *range(14, 22))},
    esp_encryption={"aes128": "AES128", "aes256": "AES256"} | _gcm("AES{}-GCM-16", 128, 256),
    integrity={"sha1": "SHA1", "sha256": "SHA2-256", "sha384": "SHA2-384", "sha512": "SHA2-512"},
    advice="Choose the policy “AWS VPN”.",
    pfs_needed=True,
    ike_lifetime=(900, 28_800),
    esp_lifetime=(900, 3_600),
    pairs=1,
    local_identities=_ADDRESS,
    remote_identities=_ADDRESS,
    aggressive=False,
    ipv6=False,
    host_names=False,
    always=(
        "AWS chooses its addresses itself: enter the first tunnel's outside address as Public address here afterwards. "
        "Its second tunnel is a peer of its own.",
        "AWS's secrets have 8 to 64 letters, digits, dots or underscores, and begin with no 0.",
    ),
)
AZURE = Vendor(
    key="azure",
    title="Azure VPN Gateway",
    file="culvert-azure.json",
    where="Portal, Deploy a custom template: paste it, choose the gateway, enter the secret. The gateway is "
    "route-based, VpnGw1 or larger.",
    render=clouds.azure,
    ike_encryption={"3des": "DES3"} | _aes("AES{}"),
    hashes={"md5": "MD5", "sha1": "SHA1", "sha256": "SHA256", "sha384": "SHA384"},
    groups={"modp1024": "DHGroup2", "modp2048": "DHGroup14", "ecp256": "ECP256", "ecp384": "ECP384"},
    pfs={"modp1024": "PFS2", "modp2048": "PFS14", "ecp256": "ECP256", "ecp384": "ECP384"},
    esp_encryption={"3des": "DES3"} | _aes("AES{}") | _gcm("GCMAES{}"),
    integrity={"md5": "MD5", "sha1": "SHA1", "sha256": "SHA256"},
    advice="Choose the policy “Azure VPN Gateway”.",
    one_ike=True,
    one_esp=True,
    ike_lifetime=(28_800, 28_800),
    esp_lifetime=(300, 172_799),
    kilobytes=True,
    local_identities=_ADDRESS,
    remote_identities=_ADDRESS,
    aggressive=False,
)
MERAKI = Vendor(
    key="meraki",
    title="Cisco Meraki MX",
    file="culvert-meraki.json",
    where="Security & SD-WAN, Site-to-site VPN, Non-Meraki VPN peers: the fields have these names. Or through the API: "
    "PUT …/appliance/vpn/thirdPartyVPNPeers, which replaces the whole list, so add this entry to yours.",
    render=clouds.meraki,
    ike_encryption={"3des": "tripledes"} | _aes("aes{}"),
    hashes={"md5": "md5", "sha1": "sha1", "sha256": "sha256"},
    groups=groups(2, 5, 14, prefix="group"),
    esp_encryption={"3des": "tripledes", "null": "null"} | _aes("aes{}"),
    integrity={"md5": "md5", "sha1": "sha1", "sha256": "sha256"},
    advice=_CBC,
    one_ike=True,
    local_identities=_NAMES,
    remote_identities=_NAMES,
    aggressive=False,
    ipv6=False,
    host_names=False,
    always=(
        "Meraki offers every subnet that takes part in its VPN: those have to be the private subnets here, no more.",
    ),
)
VENDORS: tuple[Vendor, ...] = (
    *(STRONGSWAN, ASA, IOS_XE, FORTIGATE, PFSENSE, OPNSENSE, MIKROTIK, PALO_ALTO, JUNIPER, AWS, AZURE, MERAKI),
)
BY_KEY = {vendor.key: vendor for vendor in VENDORS}
