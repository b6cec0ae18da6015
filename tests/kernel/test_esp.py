"""The guest's kernel does ESP and AH: states of ``ip xfrm`` between two namespaces, packets, and what it drops.

Everything else in this room rests on it. A packet that is not protected does not count: the wire is read as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from lab.guest.machine import Guest

pytestmark = pytest.mark.kernel

GCM = "aead 'rfc4106(gcm(aes))' 0x{aead} 128"
CBC = "enc 'cbc(aes)' 0x{enc} auth-trunc 'hmac(sha256)' 0x{auth} 128"
SHA1 = "enc 'cbc(aes)' 0x{enc} auth-trunc 'hmac(sha1)' 0x{auth1} 96"
AH = "auth-trunc 'hmac(sha256)' 0x{auth} 128"
KEYS = {"aead": "11" * 36, "enc": "22" * 32, "auth": "33" * 32, "auth1": "44" * 20}
WINDOW = "replay-window 32"
ESN = "replay-window 1024 flag esn"
OUTER = {"4": ("192.0.2.1", "192.0.2.2"), "6": ("2001:db8::1", "2001:db8::2")}
INNER = ("10.91.1.1", "10.91.2.1")
PATIENCE_S = 120.0  # other suites run beside this one
PROTOCOL = {"esp": 50, "ah": 51}

CASES = {
    "gcm": ("esp", "tunnel", "4", GCM, WINDOW, ""),
    "gcm-esn": ("esp", "tunnel", "4", GCM, ESN, ""),
    "cbc-sha256": ("esp", "tunnel", "4", CBC, WINDOW, ""),
    "cbc-sha256-esn": ("esp", "tunnel", "4", CBC, ESN, ""),
    "cbc-sha1-in-udp": ("esp", "tunnel", "4", SHA1, WINDOW, "encap espinudp 4500 4500 0.0.0.0"),
    # IPv4 inside IPv6: the state is for either family.
    "gcm-ipv6": ("esp", "tunnel", "6", GCM, ESN + " af-unspec", ""),
    "gcm-transport": ("esp", "transport", "4", GCM, ESN, ""),
    "cbc-transport-ipv6": ("esp", "transport", "6", CBC, WINDOW, ""),
    "ah": ("ah", "tunnel", "4", AH, WINDOW, ""),
    "ah-transport": ("ah", "transport", "4", AH, ESN, ""),
}


@pytest.fixture(scope="module", autouse=True)
def pair(guest: Guest) -> Iterator[None]:
    """Namespaces ``esp-a`` and ``esp-b``, each with outer and inner addresses, which need not look for each other."""
    guest.shell(
        """
        ip netns add esp-a; ip netns add esp-b
        ip link add wire netns esp-a type veth peer name wire netns esp-b
        for n in a b; do
            ip -n esp-$n link set lo up; ip -n esp-$n link set wire up
        done
        ip -n esp-a address add 192.0.2.1/24 dev wire; ip -n esp-b address add 192.0.2.2/24 dev wire
        ip -n esp-a address add 2001:db8::1/64 dev wire nodad; ip -n esp-b address add 2001:db8::2/64 dev wire nodad
        for n in a b; do
            [ $n = a ] && end=2 other=b || { end=1; other=a; }
            mac=$(ip netns exec esp-$other cat /sys/class/net/wire/address)
            ip -n esp-$n neigh add 192.0.2.$end lladdr $mac dev wire nud permanent
            ip -n esp-$n neigh add 2001:db8::$end lladdr $mac dev wire nud permanent
        done
        ip -n esp-a address add 10.91.1.1/32 dev lo; ip -n esp-b address add 10.91.2.1/32 dev lo
        ip -n esp-a route add 10.91.2.0/24 dev wire src 10.91.1.1
        ip -n esp-b route add 10.91.1.0/24 dev wire src 10.91.2.1
    """,
        timeout=PATIENCE_S,
    )
    yield
    guest.shell("ip netns delete esp-a; ip netns delete esp-b")


def _install(guest: Guest, case: str) -> None:
    """Both directions at both ends, as two gateways would have them after a negotiation."""
    protocol, mode, family, algorithm, replay, encapsulation = CASES[case]
    transform = algorithm.format(**KEYS)
    lines = []
    for here, there, side in ((0, 1, "a"), (1, 0, "b")):
        outer = OUTER[family]
        own, other = (f"{(outer if mode == 'transport' else INNER)[end]}" for end in (here, there))
        for source, target, direction, spi in ((here, there, "out", 0x100 + here), (there, here, "in", 0x100 + there)):
            ends = f"src {outer[source]} dst {outer[target]}"
            state = f"{ends} proto {protocol} spi {spi} reqid 7 mode {mode} {replay} {transform} {encapsulation}"
            tunnel = f"tmpl {ends} proto {protocol} reqid 7 mode {mode}"
            selector = f"src {own} dst {other}" if direction == "out" else f"src {other} dst {own}"
            lines += [f"ip -n esp-{side} xfrm state add {state}"]
            lines += [f"ip -n esp-{side} xfrm policy add {selector} dir {direction} {tunnel}"]
    guest.shell("for n in a b; do ip -n esp-$n xfrm policy flush; ip -n esp-$n xfrm state flush; done")
    guest.shell("\n".join(lines))


@pytest.mark.parametrize("case", CASES)
def test_packets_cross(guest: Guest, case: str) -> None:
    """Five echoes are answered, and the wire has seen the protocol and nothing in clear."""
    protocol, mode, family, _, _, encapsulation = CASES[case]
    _install(guest, case)
    source, target = OUTER[family] if mode == "transport" else INNER
    seen = "/tmp/esp-seen"
    # What comes in is seen a second time in clear after the kernel has opened it; what goes out is seen as it is sent.
    capture = guest.spawn(
        *(
            "ip",
            "netns",
            "exec",
            "esp-b",
            "tcpdump",
            "-Z",
            "root",
            "-Q",
            "out",
            "-lnvi",
            "wire",
            "ip or ip6",
        ),
        log=seen,
    )
    guest.shell(f"for i in $(seq 100); do grep -q listening {seen} && break; sleep 0.1; done")
    command = f"ip netns exec esp-a ping -q -c 5 -i 0.1 -W 3 -I {source} {target}"
    if case == "cbc-sha1-in-udp":
        guest.put("/tmp/natt.py", _NATT.encode())
        sockets = [guest.spawn("ip", "netns", "exec", f"esp-{side}", "python3", "/tmp/natt.py") for side in "ab"]
        guest.shell("for n in a b; do until ip netns exec esp-$n ss -Huln | grep -q :4500; do sleep 0.1; done; done")
    else:
        sockets = []
    try:
        assert "5 packets transmitted, 5 received" in guest.shell(command)
        guest.shell("sleep 0.3")
    finally:
        for pid in (capture, *sockets):
            guest.kill(pid)
    text = guest.get(seen).decode()
    guest.shell(f"rm {seen}")
    wanted = "UDP-encap" if encapsulation else protocol.upper() + "("
    assert text.count(wanted) == 5, text
    if protocol == "esp":
        assert "echo" not in text
    counted = guest.shell(
        f"ip -n esp-b -s xfrm state get src {OUTER[family][0]} dst {OUTER[family][1]} proto {protocol} spi 256"
    )
    assert re.search(r"\b5\(packets\)", counted), counted


_NATT = """
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_UDP, 100, 2)  # UDP_ENCAP, UDP_ENCAP_ESPINUDP
s.bind(("", 4500))
time.sleep(60)
"""


def test_a_replayed_packet_is_dropped_and_counted(guest: Guest) -> None:
    """The sender's counter is set back: the receiver has seen these numbers, answers nothing and counts."""
    _install(guest, "cbc-sha256")
    ping = "ip netns exec esp-a ping -q -c 3 -i 0.1 -W 1 -I 10.91.1.1 10.91.2.1"
    assert "3 received" in guest.shell(ping)
    keys = CBC.format(**KEYS)
    ends = "src 192.0.2.1 dst 192.0.2.2 proto esp spi 256"
    guest.shell(f"ip -n esp-a xfrm state delete {ends}")
    guest.shell(f"ip -n esp-a xfrm state add {ends} reqid 7 mode tunnel {WINDOW} {keys}")
    assert " 0 received" in guest.run("sh", "-c", ping, check=False).stdout
    counted = guest.shell(f"ip -n esp-b -s xfrm state get {ends}")
    assert re.search(r"replay-window \d+ replay [1-9]", counted), counted


def test_another_key_is_dropped_and_counted(guest: Guest) -> None:
    """A packet that does not authenticate changes nothing but a counter."""
    _install(guest, "gcm")
    ends = "src 192.0.2.1 dst 192.0.2.2 proto esp spi 256"
    guest.shell(f"ip -n esp-a xfrm state delete {ends}")
    other = GCM.format(aead="55" * 36)
    guest.shell(f"ip -n esp-a xfrm state add {ends} reqid 7 mode tunnel {WINDOW} {other}")
    ping = "ip netns exec esp-a ping -q -c 2 -i 0.1 -W 1 -I 10.91.1.1 10.91.2.1"
    assert " 0 received" in guest.run("sh", "-c", ping, check=False).stdout
    counted = guest.shell(f"ip -n esp-b -s xfrm state get {ends}")
    assert re.search(r"replay-window \d+ replay 0 failed [1-9]", counted), counted
    assert re.search(r"\b0\(packets\)", counted), counted
