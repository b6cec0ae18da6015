"""The comparison of data paths: its ratios, and that generator and sink count what really went over a wire."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.bench import esp
from appliance.bench.esp_paths import CIPHERS, Ends, suite_of, variants
from appliance.bench.esp_tuning import widen
from lab.net import destroy
from lab.packets import Sink, trial


def figures(wire: str, native: float, libipsec: float, bare: float) -> esp.Figures:
    """Two rounds; the second one ran on a machine that was half as fast."""
    found: esp.Figures = {}
    for what in ("tcp1", "tcp4", "udp64"):
        found[wire, "no-cipher", "none", what] = [bare, bare / 2]
        for cipher in CIPHERS:
            found[wire, "native", cipher.name, what] = [native, native / 2]
            found[wire, "libipsec", cipher.name, what] = [libipsec, libipsec / 2]
    return found


def test_ratios_are_taken_within_rounds_and_the_worst_counts() -> None:
    seen = figures("segmenting", 4.0, 0.5, 5.0)
    seen["segmenting", "native", "aes256-sha256", "tcp4"] = [2.0, 1.0]
    ratios = esp.ratios(seen)
    assert ratios["segmenting"] == {
        "gcm_tcp_libipsec": 8.0,
        "gcm_tcp_bound": 0.8,
        "cbc_tcp_libipsec": 4.0,
        "cbc_tcp_bound": 0.4,
        "udp64_libipsec": 8.0,
    }
    assert set(ratios["plain"]) == set(ratios["segmenting"]) and set(ratios["plain"].values()) == {None}


def test_cases_are_medians_with_units() -> None:
    case = next(row for row in esp.cases({("plain", "native", "aes128gcm16", "udp64"): [3000, 1000, 2000]}))
    assert (case["value"], case["unit"], case["wire"], case["rounds"]) == (
        2000,
        "packets/s",
        "plain",
        [3000, 1000, 2000],
    )


def test_without_the_native_path_its_cases_are_left_out() -> None:
    assert {row.path for row in variants(False, False)} == {"plain", "libipsec", "python"}
    assert {row.path for row in variants(True, True)} == {"plain", "no-cipher", "native", "libipsec", "python"}


def test_the_suite_of_strongswan_is_read_back() -> None:
    assert suite_of({"encr-alg": "AES_GCM_16", "encr-keysize": "128"}) == "aes128gcm16"
    assert suite_of({"encr-alg": "AES_CBC", "encr-keysize": "256", "integ-alg": "HMAC_SHA1_96"}) == "aes256-sha1"


def test_what_there_is_so_far_can_be_saved(tmp_path: Path) -> None:
    file = tmp_path / "so-far.json"
    esp._save(str(file), figures("plain", 4.0, 0.5, 5.0), 1, 0.0, ["one tunnel did not come up"])
    seen = json.loads(file.read_text())
    assert (seen["rounds"], seen["problems"]) == (1, ["one tunnel did not come up"])
    assert seen["ratios"]["plain"]["gcm_tcp_libipsec"] == 8.0
    assert [entry.name for entry in tmp_path.iterdir()] == ["so-far.json"]


def test_the_buffers_of_a_process_are_raised() -> None:
    """The sockets of another process, as those of strongSwan, and no other sockets of it."""
    if os.geteuid() != 0:
        pytest.skip("raises buffers past the system's limit")
    script = (
        "import socket, sys; udp = socket.socket(type=socket.SOCK_DGRAM); tcp = socket.socket()\n"
        "before = tcp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF); print(flush=True); sys.stdin.readline()\n"
        "print(udp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF))\n"
        "print(tcp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) - before)"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert widen(process.pid, 4 << 20) == 1
        octets, changed = process.communicate("\n", timeout=10)[0].split()
    assert int(octets) >= 4 << 20  # the kernel doubles it for its own use
    assert int(changed) == 0


@pytest.mark.lab
def test_datagrams_are_counted_one_by_one_and_cut() -> None:
    if os.geteuid() != 0:
        pytest.skip("makes network namespaces")
    name = f"pk{os.getpid() % 10000}"
    ends = Ends(name)
    destroy(name)
    try:
        ends.create()
        sink = Sink(ends.gateway)
        for more in ({}, {"segment": 1}, {"addresses": 1}):
            seen = trial(ends.site, sink, "192.0.2.2", 2000, 0.3, 64, **more)
            assert seen.received == seen.sent and 500 <= seen.sent <= 700, more
    finally:
        destroy(name)
