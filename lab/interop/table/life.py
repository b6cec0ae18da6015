"""What happens to a tunnel that is up: it is replaced, deleted, lost and found."""

from __future__ import annotations

from lab.interop import life
from lab.interop.model import BOTH, Role, Scenario
from lab.topology import SITE_OUTER

_DPD = {"dpd": {"interval_s": 1, "timeout_s": 3}}
_OURS, _THEIRS = (Role.INITIATOR,), (Role.RESPONDER,)

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
    Scenario("peer-deletes-pair", "net2net-psk", life.peer_deletes_pair, BOTH),
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
    ),
    Scenario(
        "dpd-peer-probes",
        "dpd",
        life.probed,
        BOTH,
        theirs={"dpd_delay": "1s", "dpd_timeout": "3s"},
        ours={"dpd": {"interval_s": 0}},
    ),
    Scenario(
        "peer-restarts",
        "ikev1-initial-contact",
        life.peer_restarts,
        BOTH,
        theirs={"unique": "replace", "remote": {"auth": "psk", "id": SITE_OUTER}},
    ),
    Scenario("we-restart", "ikev1-initial-contact", life.we_restart, BOTH),
)
