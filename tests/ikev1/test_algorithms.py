"""Every algorithm between two endpoints in memory, with packets through the pair; weak ones only where allowed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.ikev1.pair import Network, document, mirrored, peer_row
from tests.ikev1.test_negotiation import joined, up
from vpnengine.contract.algorithms import DhGroup, EspEncryption, EspIntegrity, Grade, IkeEncryption, IkeHash
from vpnengine.contract.events import Severity, Side
from vpnengine.contract.problems import Refused
from vpnengine.contract.status import SaStatus
from vpnengine.crypto.random import system_random
from vpnengine.esp.transform import Inbound, Outbound
from vpnengine.ikev1.interface import InitiatePeer, RekeyPeer

PACKET = bytes([0x45, 0, 0, 84]) + bytes(range(80))
QUICK_GROUPS = [group for group in DhGroup if group not in (DhGroup.MODP6144, DhGroup.MODP8192)]
ESP = [
    {"encryption": e.value, "integrity": i.value if i else None}
    for e in EspEncryption
    for i in ((None,) if e.is_aead else EspIntegrity)
]


def carries(network: Network) -> None:
    """Packets go both ways through the newest pair, opened with the other side's keys."""
    for here, there in ((network.left, network.right), (network.right, network.left)):
        pair = here.installed[here.outbound[-1]]
        twin = there.installed[pair.spi_out]
        sealed = Outbound(pair.spi_out, pair.transform, pair.keys_out, system_random).seal(PACKET)
        assert Inbound(twin.transform, twin.keys_in, system_random).open(sealed) == PACKET


def status(network: Network, side: str = "left") -> SaStatus:
    node = getattr(network, side)
    sas: tuple[SaStatus, ...] = node.endpoint.peer_statuses(network.now)[0].sas
    return sas[-1]


@pytest.mark.parametrize("hash_", list(IkeHash))
@pytest.mark.parametrize("encryption", list(IkeEncryption))
def test_phase_1_ciphers_and_hashes(encryption: IkeEncryption, hash_: IkeHash) -> None:
    proposal = {"encryption": encryption.value, "hash": hash_.value, "group": "ecp256"}
    network = joined(peer_row(phase1={"proposals": [proposal]}, legacy=True))
    up(network)
    carries(network)
    network.command(network.left, RekeyPeer("right", 2))
    assert network.run(10, lambda: network.left.codes().count("ike.phase2.established") == 4)


@pytest.mark.parametrize("group", QUICK_GROUPS)
def test_groups_in_both_phases(group: DhGroup) -> None:
    phase1 = {"proposals": [{"encryption": "aes256", "hash": "sha256", "group": group.value}]}
    network = joined(peer_row(phase1=phase1, phase2={"pfs_group": group.value}, legacy=True))
    up(network)
    carries(network)
    assert status(network).pfs_group == group.value


@pytest.mark.parametrize("esn", [False, True])
@pytest.mark.parametrize("proposal", ESP, ids=lambda p: "-".join(v for v in p.values() if v))
def test_esp(proposal: dict[str, str], esn: bool) -> None:
    phase2 = {"proposals": [proposal], "pfs_group": None, "esn": esn}
    network = joined(peer_row(phase2=phase2, legacy=True))
    up(network)
    carries(network)
    assert status(network).encryption == proposal["encryption"]
    assert status(network).esn is status(network, "right").esn is esn


@pytest.mark.parametrize("begins", ["left", "right"])
def test_esn_falls_back_if_one_side_has_none(begins: str) -> None:
    row = peer_row(phase2={"esn": True})
    network = Network(document(row), document(mirrored(row, phase2={"esn": False})))
    network.command(getattr(network, begins), InitiatePeer("right" if begins == "left" else "left"))
    assert network.run(20, lambda: network.pairs_agree(1))
    assert not network.left.installed[network.left.outbound[0]].transform.esn


@pytest.mark.parametrize("group", ["ecp256", "modp3072", None])
def test_a_responder_takes_any_group_of_its_list(group: str | None) -> None:
    network = joined(peer_row(phase2={"pfs_group": group}), phase2={"pfs_also": ["ecp256", "modp3072"]})
    network.command(network.left, InitiatePeer("right"))
    reached = network.run(30, lambda: network.pairs_agree(1))
    assert reached is (group is not None)
    if reached:
        carries(network)
        assert status(network, "right").pfs_group == group


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        (
            {"phase1": {"proposals": [{"encryption": "3des", "hash": "sha1", "group": "modp2048"}]}},
            "encryption",
            "3des",
        ),
        ({"phase1": {"proposals": [{"encryption": "aes128", "hash": "md5", "group": "modp2048"}]}}, "hash", "md5"),
        (
            {"phase1": {"proposals": [{"encryption": "aes128", "hash": "sha1", "group": "modp1024"}]}},
            "phase1.proposals.0.group",
            "Logjam",
        ),
        ({"phase2": {"proposals": [{"encryption": "null", "integrity": "sha256"}]}}, "encryption", "read the traffic"),
        ({"phase2": {"proposals": [{"encryption": "aes128", "integrity": "md5"}]}}, "integrity", "md5"),
        ({"phase2": {"pfs_group": "modp1536"}}, "phase2.pfs_group", "group 5"),
        ({"phase2": {"pfs_also": ["modp1024"]}}, "phase2.pfs_also", "group 2"),
    ],
)
def test_weak_algorithms_need_the_switch(changes: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(Refused) as refused:
        document(peer_row(**changes))
    (problem,) = refused.value.problems
    assert problem.field.startswith("peers.0.phase") and problem.field.endswith(field)
    assert words in problem.message and "Allow legacy algorithms" in problem.message
    document(peer_row(legacy=True, **changes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"phase1": {"proposals": [{"encryption": "des", "hash": "sha1", "group": "modp2048"}]}}, "56 bits"),
        ({"phase1": {"proposals": [{"encryption": "aes128", "hash": "sha1", "group": "modp768"}]}}, "768-bit"),
        ({"phase2": {"proposals": [{"encryption": "des", "integrity": "sha1"}]}}, "56 bits"),
        ({"phase2": {"pfs_group": "modp768"}}, "768-bit"),
    ],
)
def test_des_and_group_1_are_never_allowed(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused) as refused:
        document(peer_row(legacy=True, **changes))
    assert words in refused.value.problems[0].message


def test_what_is_weak_is_said_once_with_the_reason() -> None:
    phase1 = {"proposals": [{"encryption": "3des", "hash": "md5", "group": "modp1024"}]}
    phase2 = {"proposals": [{"encryption": "3des", "integrity": "sha1"}], "pfs_group": "modp1536"}
    row = peer_row(
        phase1=phase1, phase2=phase2, legacy=True, local_subnets=["10.1.0.0/24", "10.1.1.0/24"], name="Old gateway"
    )
    network = joined(row)
    up(network, 2)
    for node in (network.left, network.right):
        weak = [event for event in node.events if event.code.endswith(".weak")]
        assert [event.text for event in weak] == [
            "phase1 uses weak algorithms: 3des, md5, modp1024.",
            "phase2 uses weak algorithms: 3des, modp1536.",
        ]
        assert all(event.severity is Severity.WARNING and event.side is Side.NONE for event in weak)
        assert "Logjam" in weak[0].evidence["modp1024"]
        assert node.endpoint.peer_statuses(network.now)[0].last_failure is None
    network.command(network.left, RekeyPeer("right", 1))
    network.run(10)
    assert network.left.codes().count("ike.phase1.weak") == 1


def test_strong_algorithms_are_not_warned_of() -> None:
    network = joined()
    up(network)
    assert not [code for code in network.left.codes() if code.endswith(".weak")]


def test_every_algorithm_has_a_grade_and_weak_ones_a_reason() -> None:
    for kind in (IkeEncryption, IkeHash, DhGroup, EspEncryption, EspIntegrity):
        assert {algorithm.grade for algorithm in kind} >= {Grade.RECOMMENDED, Grade.LEGACY}
        for algorithm in kind:
            assert bool(algorithm.weakness) is (algorithm.grade is Grade.LEGACY)


@pytest.mark.parametrize(
    ("ours", "theirs", "differing"),
    [
        ({"phase1": {"proposals": [{"encryption": "aes128", "hash": "sha1", "group": "modp2048"}]}},) * 2 + ({},),
        (
            {"phase1": {"proposals": [{"encryption": "aes256", "hash": "sha256", "group": "modp2048"}]}},
            {
                "phase1": {
                    "proposals": [
                        {"encryption": "aes128", "hash": "sha1", "group": "modp3072"},
                        {"encryption": "aes256", "hash": "sha256", "group": "ecp384"},
                    ]
                }
            },
            {"group": ("modp2048", "ecp384")},
        ),
        (
            {"phase2": {"proposals": [{"encryption": "aes256", "integrity": "sha256"}], "pfs_group": "modp2048"}},
            {"phase2": {"proposals": [{"encryption": "aes256", "integrity": "sha1"}], "pfs_group": None}},
            {"integrity": ("sha256", "sha1"), "pfs": ("modp2048", "")},
        ),
    ],
    ids=["equal", "phase1", "phase2"],
)
def test_differences_are_data(
    ours: dict[str, Any], theirs: dict[str, Any], differing: dict[str, tuple[str, str]]
) -> None:
    """The right side, which is asked, lays its own configuration beside what the left side offers."""
    network = Network(document(peer_row(**theirs)), document(mirrored(peer_row(), **ours)))
    network.command(network.left, InitiatePeer("right"))
    network.run(30)
    events = [event for event in network.right.events if event.difference]
    if not differing:
        assert not events and network.pairs_agree(1)
        return
    difference = events[0].difference
    assert difference is not None
    assert {row.attribute: (row.ours, row.theirs) for row in difference.nearest if not row.equal} == differing
    assert difference.ours and difference.theirs and len(difference.nearest) >= 4
    assert type(events[0]).model_validate_json(events[0].model_dump_json()) == events[0]
    for ours_cell, theirs_cell in differing.values():
        assert f"here {ours_cell or 'none'}, peer {theirs_cell or 'none'}" in (events[0].hint or "")


def test_a_refusal_names_what_was_offered_and_not_what_would_be_accepted() -> None:
    network = joined(peer_row(phase2={"pfs_group": "modp2048", "pfs_also": ["ecp384"]}), phase2={"pfs_group": "ecp256"})
    network.command(network.left, InitiatePeer("right"))
    network.run(30)
    offered = network.left.last("ike.phase2.refused").evidence["offered"]
    assert "modp2048" in offered and "ecp384" not in offered
    network.command(network.right, InitiatePeer("left"))
    network.run(30)
    assert "ecp384" in network.left.last("ike.phase2.no_proposal").evidence["accepted"]
