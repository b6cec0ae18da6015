"""What happens to a tunnel that is up: it is replaced, deleted, lost and found."""

from __future__ import annotations

from lab.interop import life, messages
from lab.interop.model import BOTH, Role, Scenario
from lab.interop.table.psk import MOON, identity
from lab.topology import SITE_OUTER

_DPD = {"dpd": {"interval_s": 1, "timeout_s": 3}}
_OURS, _THEIRS = (Role.INITIATOR,), (Role.RESPONDER,)


def _probe(sender: str) -> messages.Exchanges:
    """R-U-THERE and its acknowledgement, each in an informational exchange of its own (RFC 3706)."""
    other = messages.THEY if sender == messages.WE else messages.WE
    kind = "INFORMATIONAL_V1 request"
    return messages.Message(sender, kind, r"HASH N\(DPD\) "), messages.Message(other, kind, r"HASH N\(DPD_ACK\) ")


def _again(name: str, unique: str, replaced: bool) -> Scenario:
    """A peer without a fixed address comes back from another one."""
    return Scenario(
        name,
        "ikev1-initial-contact",
        life.returns_from_elsewhere,
        (Role.RESPONDER,),
        ours={"remote": "any", "remote_identity": identity("fqdn", MOON)},
        theirs={
            "unique": unique,
            "local": {"auth": "psk", "id": MOON},
            "remote": {"auth": "psk", "id": SITE_OUTER},
        },
        options={"replaced": replaced},
    )


ROWS = (
    Scenario("rekey-pair", "net2net-rekey", life.rekey_phase2, BOTH),
    Scenario(
        "rekey-pair-without-pfs",
        "net2net-rekey",
        life.rekey_phase2,
        BOTH,
        ours={"phase2": {"pfs_group": None}},
        child={"esp_proposals": ["aes256gcm16"]},
    ),
    Scenario(
        "rekey-pair-by-peers-timer",
        "net2net-rekey",
        life.rekey_by_time,
        BOTH,
        child={"rekey_time": "2s", "life_time": "10s", "rand_time": "0s"},
    ),
    Scenario("rekey-pair-both-at-once", "ikev1-simultaneous", life.rekey_both_at_once, BOTH),
    Scenario("rekey-phase1", "reauth", life.rekey_phase1, BOTH),
    Scenario(
        "rekey-phase1-by-peers-timer",
        "reauth",
        life.rekey_phase1_by_time,
        BOTH,
        theirs={"reauth_time": "3s", "rekey_time": "0s", "over_time": "6s", "rand_time": "0s"},
    ),
    Scenario("peer-deletes-pair", "net2net-psk", life.peer_deletes_pair, BOTH),
    Scenario("peer-deletes-one-of-four", "net2net-psk", life.peer_deletes_one_of_four, BOTH, subnets=2),
    Scenario("nothing-in-clear-after-a-delete", "net2net-psk", life.nothing_in_clear, BOTH),
    Scenario("peer-deletes-all", "net2net-psk", life.peer_deletes_all, BOTH),
    Scenario("we-delete-all", "net2net-psk", life.we_delete_all, BOTH),
    Scenario("dpd-clear", "dpd-clear", life.peer_dies, BOTH, ours=_DPD),
    Scenario("dpd-restart", "dpd-restart", life.peer_dies, _OURS, ours=_DPD | {"start": "immediate"}),
    Scenario(
        "dpd-none-while-traffic-flows",
        "dpd",
        life.quiet_while_traffic_flows,
        BOTH,
        ours={"dpd": {"interval_s": 2, "timeout_s": 6}},
        options={"messages": _probe(messages.WE)},
    ),
    Scenario(
        "dpd-peer-probes",
        "dpd",
        life.probed,
        BOTH,
        theirs={"dpd_delay": "1s", "dpd_timeout": "3s"},
        ours={"dpd": {"interval_s": 0}},
        options={"messages": _probe(messages.THEY)},
    ),
    Scenario(
        "peer-restarts",
        "ikev1-initial-contact",
        life.peer_restarts,
        BOTH,
        theirs={"unique": "replace", "remote": {"auth": "psk", "id": SITE_OUTER}},
    ),
    Scenario(
        "peer-restarts-unique-never",
        "ikev1-initial-contact",
        life.peer_restarts_silently,
        (Role.RESPONDER,),
        theirs={"unique": "never", "remote": {"auth": "psk", "id": SITE_OUTER}},
    ),
    *(_again(f"same-identity-{unique}", unique, unique == "replace") for unique in ("replace", "never")),
    Scenario("we-restart", "ikev1-initial-contact", life.we_restart, BOTH),
)
