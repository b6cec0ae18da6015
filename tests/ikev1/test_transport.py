"""Transport mode: host to host, the shapes of L2TP, and original addresses behind a NAT."""

from __future__ import annotations

from typing import Any

import pytest

from tests.ikev1.pair import LEFT, RIGHT, Address, Network, document, mirrored, peer_row
from tests.ikev1.test_negotiation import up
from tests.ikev1.test_selectors import flipped
from vpnengine.contract.problems import Refused
from vpnengine.ikev1 import modes
from vpnengine.ikev1.interface import InitiatePeer, RekeyPeer
from vpnengine.isakmp.constants import PayloadType
from vpnengine.isakmp.message import Payloads
from vpnengine.isakmp.payloads import NatOa

L2TP = {"local": f"{LEFT}/32", "remote": f"{RIGHT}/32", "protocol": "udp", "local_port": 1701, "remote_port": 1701}
ANY_PORT = {**L2TP, "local_port": 0}
PRIVATE = "10.70.0.2"


def transport_row(selector: dict[str, Any], **changes: Any) -> dict[str, Any]:
    phase2 = {"mode": "transport"} | changes.pop("phase2", {})
    return peer_row(local_subnets=[], remote_subnets=[], selectors=[selector], phase2=phase2, **changes)


def joined(left: dict[str, Any] = L2TP, right: dict[str, Any] = L2TP, raw_esp: bool = True, **changes: Any) -> Network:
    row = transport_row(left, **changes)
    return Network(document(row), document(mirrored(row, selectors=[flipped(right)])), raw_esp=raw_esp)


class Translated(Network):
    """The left node stands behind a translator: it is ``PRIVATE`` to itself and ``LEFT`` to the right one."""

    def pairs_agree(self, count: int) -> bool:
        """The addresses in the selectors differ by translation; SPIs and keys do not."""
        left, right = self.left, self.right
        return len(left.outbound) == len(right.outbound) == count and all(
            left.installed[spi].keys_in == right.installed[left.installed[spi].spi_out].keys_out
            for spi in left.outbound
        )

    def _deliver(self, item: Any) -> None:
        self.flying.remove(item)
        _, _, node, transmit = item
        source, target = transmit.local, transmit.remote
        if node is self.right:
            source = Address(LEFT, source.port)
        else:
            target = Address(PRIVATE, target.port)
        node.endpoint.receive(transmit.payload, target, source, self.now)
        self.drain(node)


def translated(left: dict[str, Any], right: dict[str, Any], **changes: Any) -> Network:
    row = transport_row({**left, "local": f"{PRIVATE}/32"}, **changes)
    other = transport_row(L2TP, **changes)
    network = Translated(document(row), document(mirrored(other, selectors=[flipped(right)])))
    network.left.host = PRIVATE
    peer = network.left.endpoint._core.peers["right"]
    peer.local_hosts = dict.fromkeys(peer.local_hosts, PRIVATE)
    return network


@pytest.mark.parametrize("raw_esp", [True, False])
def test_host_to_host(raw_esp: bool) -> None:
    network = joined(raw_esp=raw_esp)
    up(network)
    for node in (network.left, network.right):
        pair = next(iter(node.installed.values()))
        assert pair.mode == "transport" and pair.udp is not raw_esp
        assert node.endpoint.peer_statuses(network.now)[0].sas[0].encapsulation.endswith("transport")
        assert any(event.text.startswith("IPsec-SA established: ESP/Transport ") for event in node.events)


@pytest.mark.parametrize("knob", ["rfc", "drafts"])
@pytest.mark.parametrize("initiator", ["left", "right"])
def test_a_client_behind_a_translator(knob: str, initiator: str) -> None:
    network = translated(L2TP, L2TP, nat_traversal=knob)
    up(network)
    if initiator == "right":
        network.command(network.right, RekeyPeer("left", 2))
        assert network.run(5, lambda: len(network.left.installed) == 2)
        network.run(60)
    ours, theirs = (list(node.installed.values())[-1] for node in (network.left, network.right))
    assert ours.udp and theirs.udp and ours.mode == theirs.mode == "transport"
    # What each put into its checksums, as the other was told.
    assert (theirs.original_remote, theirs.original_local) == (PRIVATE, RIGHT)
    assert (ours.original_remote, ours.original_local) == (RIGHT, LEFT)
    assert str(theirs.selector) == f"{RIGHT}/32[udp/1701]={LEFT}/32[udp/1701]"


def test_any_port_takes_the_one_that_is_asked_for() -> None:
    network = joined(L2TP, ANY_PORT)
    up(network)
    assert next(iter(network.right.installed.values())).selector.remote_port == 1701
    network.command(network.right, RekeyPeer("left", 2))
    assert network.run(5, lambda: len(network.right.installed) == 2)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (L2TP, {**L2TP, "protocol": "tcp"}),
        (L2TP, {**L2TP, "remote_port": 1702}),
        ({**L2TP, "local_port": 0}, L2TP),
        (L2TP, {**L2TP, "local": "192.0.2.77/32"}),
    ],
)
def test_what_is_not_configured_is_refused(left: dict[str, Any], right: dict[str, Any]) -> None:
    network = joined(left, right)
    network.command(network.left, InitiatePeer("right"))
    network.run(5)
    assert "ike.phase2.selectors" in network.right.codes() and not network.left.installed


def test_another_host_is_taken_only_behind_a_translator() -> None:
    other = {**L2TP, "local": "192.0.2.77/32"}
    network = translated(L2TP, other)
    up(network)


def test_tunnel_mode_on_one_side_is_explained() -> None:
    row = transport_row(L2TP)
    network = Network(document(row), document(mirrored(row, selectors=[flipped(L2TP)], phase2={"mode": "tunnel"})))
    network.command(network.left, InitiatePeer("right"))
    network.run(5)
    assert "mode: here tunnel, peer transport" in network.right.last("ike.phase2.no_proposal").evidence["nearest"]


def test_one_original_address_is_the_senders_own() -> None:
    network = translated(L2TP, L2TP)
    up(network)
    sa = network.right.endpoint._core.peers["left"].current()
    one = NatOa("10.9.9.9", PayloadType.NAT_OA)
    assert modes.originals(sa, modes.Role.RESPONDER, Payloads((one,), (b"",), (0,))).remote == "10.9.9.9"
    draft = NatOa("10.9.9.9", PayloadType.NAT_OA_DRAFT)
    assert modes.originals(sa, modes.Role.RESPONDER, Payloads((draft,), (b"",), (0,))).remote is None


def test_more_than_two_hosts_are_refused_in_the_configuration() -> None:
    with pytest.raises(Refused, match="between two hosts"):
        document(transport_row({**L2TP, "remote": "192.0.2.0/30", "local": "192.0.2.9/32"}))
    with pytest.raises(Refused, match="between two hosts"):
        document(peer_row(phase2={"mode": "transport"}))


def test_a_data_path_without_transport_mode_refuses() -> None:
    from vpnengine.daemon.reconcile import unusable_peers
    from vpnengine.dataplane.base import Capabilities

    config = document(transport_row(L2TP))
    problem = unusable_peers(config, Capabilities("userspace (Python)", raw_esp=False))["right"]
    assert problem.field == "peers.0.phase2.mode" and "tunnel mode only" in problem.message
    assert not unusable_peers(config, Capabilities("other", raw_esp=True, transport=True))
