"""Cisco's Unity: what a client is told to send into its tunnel, and what to leave outside."""

from __future__ import annotations

from lab.interop import checks, pki
from lab.interop.gateway import IMPATIENT
from lab.interop.rig import require
from lab.interop.run import Run
from lab.interop.table.remote import (
    ECHO_IN,
    ECHO_OUT,
    FROM_THEM,
    THEIR_POOLS,
    THEY_GET,
    THEY_GIVE,
    TO_US,
    WE_GET,
    WE_GIVE,
    client,
    push,
    server,
)
from lab.topology import SITE_SUBNETS


def split(run: Run) -> None:
    """The client asks for everything, and both ends keep to the split list."""
    run.begin()
    run.wait_up(1)
    checks.texts(run.events(), 1)
    checks.phase1(run.status()["phase1"], run.peer_sa())
    (ours,), (theirs,) = run.sas(), run.rig.gateway.children()
    checks.same("the selector that was asked for", ours["local"], _ALL[0])
    checks.same("what goes into the client's tunnel", theirs["remote-ts"], [SITE_SUBNETS[0]])
    require(run.scenario.options["log"] in run.peer_log(), f"the client has not taken it: {run.story()}")
    run.echo()
    checks.counters(run.sas(), run.rig.gateway.children())


# charon tells its children's subnets as the split list, and asks for everything if it is itself the client.
_UNITY = "cisco_unity = yes\n  " + IMPATIENT
_ALL = ["0.0.0.0/0"]
ROWS = (
    server(
        "unity-split-we-give",
        "rw-cert-unity",
        credentials=pki.usual,
        ours=WE_GIVE | {"remote": "any"},
        theirs=THEY_GET,
        child=FROM_THEM | {"remote_ts": _ALL},
        script=split,
        options=ECHO_IN | {"charon": _UNITY, "log": f"narrowed CHILD_SA to UNITY_SPLIT_INCLUDE {SITE_SUBNETS[0]}"},
    ),
    server(
        "unity-split-exclude-we-give",
        "rw-cert-unity",
        credentials=pki.usual,
        ours=push(WE_GIVE, split_exclude=["10.71.1.192/26"], banner="Hello", default_domain="example.com")
        | {"remote": "any"},
        theirs=THEY_GET | {"pull": "no"},
        child=FROM_THEM | {"remote_ts": _ALL},
        script=split,
        options=ECHO_IN | {"charon": _UNITY, "log": "10.71.1.192/26"},
    ),
    client(
        "unity-split-we-get",
        "rw-cert-unity",
        credentials=pki.usual,
        ours=WE_GET | {"remote_subnets": _ALL},
        theirs=THEY_GIVE,
        child=TO_US,
        pools=THEIR_POOLS,
        options=ECHO_OUT | {"charon": _UNITY},
    ),
    client(
        "unity-two-subnets-we-get",
        "rw-cert-unity",
        credentials=pki.usual,
        ours=WE_GET | {"remote_subnets": _ALL},
        theirs=THEY_GIVE,
        child=TO_US,
        pools=THEIR_POOLS,
        subnets=2,
        options=ECHO_OUT | {"charon": _UNITY, "one child": True, "pairs": 2},
    ),
)
