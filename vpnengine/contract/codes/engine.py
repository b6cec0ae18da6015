"""Event codes of the engine around the protocol: start, stop, configuration, names."""

from __future__ import annotations

from vpnengine.contract.entry import Confidence, Entry
from vpnengine.contract.events import Severity, Side

ENTRIES = (
    Entry("engine.started", Severity.NOTICE, 0, "engine started, data path {dataplane}", "Engine started"),
    Entry("engine.stopped", Severity.NOTICE, 0, "engine stopped", "Engine stopped"),
    Entry(
        "engine.slept",
        Severity.NOTICE,
        0,
        "the engine stood still for {seconds} seconds",
        "The machine slept",
        "The machine, or the host of a virtual one, was suspended, or the process was stopped. SAs whose lifetime "
        "ended meanwhile are removed, peers are asked whether they still have the others, and tunnels that are to be "
        "up are negotiated anew.",
        "A gateway should not sleep: turn suspending off, also at the host of a virtual machine.",
    ),
    Entry(
        "engine.datapath.restarted",
        Severity.ERROR,
        0,
        "the {part} thread of the data path failed and was started again (failures so far: {count})",
        "A part of the data path was started again",
        "The program that carries the packets met a situation that it does not know. The packets that it had at hand "
        "are lost; tunnels, keys and replay protection are kept, and it goes on with the next packets.",
        "Report it with the engine's log, which says where it failed. If it comes again and again, choose the kernel's "
        "or the Python data path until it is mended (--dataplane, or CULVERT_DATAPLANE).",
        "Ask whether the gateway sent anything unusual at that moment: a capture helps to find the cause.",
        Side.LOCAL,
        confidence=Confidence.CERTAIN,
    ),
    Entry(
        "engine.config.applied",
        Severity.INFO,
        0,
        "configuration revision {revision} applied: {added} added, {changed} changed, {removed} removed, "
        "{unchanged} unchanged",
        "Configuration applied",
    ),
    Entry(
        "engine.peer.unusable",
        Severity.ERROR,
        0,
        "the tunnel is left out: {reason}",
        "The data path cannot carry this peer",
        "The peer is configured for transport mode, AH, an interface of its own or a mark, and the data path that "
        "this engine was started with cannot do it. Its traffic is dropped, so that it does not leave in the clear; "
        "every other tunnel goes on.",
        "Choose tunnel mode and ESP under Phase 2, no interface and no mark, or a data path that carries what the peer "
        "wants.",
        "Ask the gateway's administrator to use ESP in tunnel mode.",
        Side.LOCAL,
        confidence=Confidence.CERTAIN,
    ),
    Entry(
        "engine.peer.unresolved",
        Severity.ERROR,
        1,
        "no address for {host}: {reason}",
        "The peer's name does not resolve",
        "The name server gave no address for the peer's host name, or no route leads to it.",
        "Check the host name in the field Public address, and this appliance's DNS and default route.",
        "Ask which host name or address the gateway has.",
        Side.LOCAL,
        confidence=Confidence.CERTAIN,
    ),
    Entry(
        "engine.peer.readdressed",
        Severity.NOTICE,
        1,
        "{host} has a new address: {old} became {new}",
        "The peer's name stands for another address",
        "The peer's public address changed, and the name server tells the new one.",
    ),
    Entry(
        "engine.peer.next_address",
        Severity.NOTICE,
        1,
        "{old} does not answer; {new} is tried next",
        "The peer's next address is tried",
        "Several public addresses are configured for this peer, and the one in use failed.",
    ),
)
