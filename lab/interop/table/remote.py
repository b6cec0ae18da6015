"""Users and assigned addresses: XAUTH and Mode Config, as client and as server."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from lab.interop import messages, pki
from lab.interop.life import rekey_phase1
from lab.interop.messages import THEY, WE, Message
from lab.interop.model import BOTH, Credentials, Finding, Role, Scenario, Settings
from lab.interop.rig import eventually, require
from lab.interop.run import Run
from lab.interop.scripts import broken, expect, tunnel
from lab.interop.table.psk import MOON, SUN, identity
from lab.topology import FAR_HOST, LAN_HOST, SECRET

USER, PASSWORD = "carol", "the-password-of-carol"
OUR_POOL, THEIR_POOL = "10.72.9.0/24", "10.71.9.0/24"
OUR_FIRST, THEIR_FIRST = "10.72.9.1", "10.71.9.1"
_USERS: dict[str, Any] = {"xauth": {"users": [{"name": USER, "password": PASSWORD}]}}
_POOLS: dict[str, Any] = {"pools": [{"name": "clients", "addresses": OUR_POOL, "dns": ["10.71.1.53"]}]}
_PSK: Settings = {"type": "IKE", "id": "site", "data": SECRET}
_LOGIN: Settings = {"type": "XAUTH", "id": "carol", "data": PASSWORD, "owners": [USER]}
_ASKED = {"local": None, "remote": None, "remote-1": {"auth": "psk"}, "remote-2": {"auth": "xauth"}}
_ASKED["local-1"] = {"auth": "psk"}
_ANSWERS = {"local": None, "remote": None, "local-1": {"auth": "psk"}, "remote-1": {"auth": "psk"}}
_ANSWERS["local-2"] = {"auth": "xauth", "xauth_id": USER}
# Who gives addresses, who gets one, and what each end then configures.
WE_GIVE: dict[str, Any] = {"remote_subnets": None, "mode_config": {"role": "server", "pool": "clients"}}
WE_GET: dict[str, Any] = {"local_subnets": None, "mode_config": {"role": "client"}, "start": "immediate"}
THEY_GIVE: dict[str, Any] = {"pools": ["clients"]}
THEY_GET: dict[str, Any] = {"vips": ["0.0.0.0"]}
THEIR_POOLS: tuple[Settings, ...] = ({"clients": {"addrs": THEIR_POOL, "dns": ["10.72.1.53"]}},)
TO_US = {"remote_ts": ["dynamic"]}
FROM_THEM = {"local_ts": ["dynamic"]}
ECHO_OUT = {"echo": [("site", FAR_HOST), ("host", THEIR_FIRST)]}
ECHO_IN = {"echo": [("gateway", LAN_HOST, OUR_FIRST), ("lan", OUR_FIRST)]}


def push(ours: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The end that gives addresses begins to."""
    return ours | {"mode_config": ours["mode_config"] | {"way": "push"} | more}


def server(name: str, kin: str, **more: Any) -> Scenario:
    """We ask for the password, or give the address; the peer begins."""
    engine = _USERS | _POOLS | more.pop("engine", {})
    options = {"engine": engine} | more.pop("options", {})
    return Scenario(
        name, kin, more.pop("script", tunnel), more.pop("roles", (Role.RESPONDER,)), options=options, **more
    )


def client(name: str, kin: str, **more: Any) -> Scenario:
    """The peer asks for the password, or gives the address; we begin."""
    return Scenario(name, kin, more.pop("script", tunnel), more.pop("roles", (Role.INITIATOR,)), **more)


def _login(password: str = PASSWORD) -> dict[str, Any]:
    return {"xauth": {"role": "client", "user": USER, "password": password}}


def _rsa_we_ask() -> Credentials:
    """Both ends have certificates; the peer's user also a password."""
    made = pki.usual(xauth={"role": "server"})
    second = {"auth": "xauth", "xauth_id": USER}
    theirs = {"local": None, "remote": None, "local-1": made.theirs["local"], "local-2": second}
    return Credentials(made.ours, theirs | {"remote-1": made.theirs["remote"]}, (*made.secrets, _LOGIN))


def _rsa_we_answer(password: str = PASSWORD) -> Credentials:
    """Both ends have certificates; our user also a password."""
    made = pki.usual(**_login(password))
    theirs = {"local": None, "remote": None, "remote-1": made.theirs["remote"], "remote-2": {"auth": "xauth"}}
    return Credentials(made.ours, theirs | {"local-1": made.theirs["local"]}, (*made.secrets, _LOGIN))


def exhausted(run: Run) -> None:
    """Three clients, two addresses: the third is told, and our log says what to do."""
    for number in range(3):
        local = {"auth": "psk", "id": f"client{number}.example.com"}
        connection = run.rig.connection(run.scenario) | {"local": local}
        run.rig.gateway.vici.load_conn({f"client{number}": connection})
        run.peer_initiates("net1-1", f"client{number}")
        if number < 2:
            run.wait_event("ike.config.leased", number + 1)
    expect(run, run.scenario.found[run.role])


def guessed(run: Run) -> None:
    """After some wrong passwords none is accepted for a while, not even the right one."""
    run.begin()
    for number in range(2, 12):
        run.wait_event("ike.xauth.failed", 1)
        if any(event["code"] == "ike.xauth.locked" for event in run.events()):
            break
        require(eventually(lambda: not run.rig.gateway.sas(), 3), f"guess {number - 1} has left an SA at the peer")
        run.begin()
        time.sleep(0.2)
    expect(run, run.scenario.found[run.role])
    run.rig.gateway.vici.load_shared({key: value for key, value in _LOGIN.items() if key != "kind"})
    run.begin()
    time.sleep(0.5)
    require(not run.sas(), "the right password is accepted although the user is locked out")


def _hybrid_we_ask() -> Credentials:
    """We have a certificate, the peer's user a password and nothing else."""
    made = pki.usual(authentication="hybrid", xauth={"role": "server"}, trusted_cas=[], remote_identity=None)
    theirs = {"local": {"auth": "xauth", "xauth_id": USER}, "remote": made.theirs["remote"]}
    return Credentials(made.ours, theirs, (*made.secrets, _LOGIN))


def _hybrid_we_answer(password: str = PASSWORD) -> Credentials:
    """The peer has a certificate, our user a password and nothing else."""
    made = pki.usual(authentication="hybrid", local_identity=None, **_login(password))
    ours = {**made.ours, "certificate": None, "private_key": None}
    return Credentials(ours, {"local": made.theirs["local"], "remote": {"auth": "xauth"}}, (*made.secrets, _LOGIN))


_AGGRESSIVE = {"ours": {"exchange": "aggressive"}, "theirs": {"aggressive": "yes"}}
# The user proves nothing but the keys, the gateway has a certificate.
_HYBRID = messages.main("KE No ", "KE No ", "ID .*HASH ", "ID CERT SIG ")
HYBRID = (
    server(
        "hybrid-we-ask",
        "xauth-id-rsa-hybrid",
        credentials=_hybrid_we_ask,
        options={"messages": _HYBRID + messages.login(WE) + messages.quick()},
    ),
    client(
        "hybrid-we-answer",
        "xauth-id-rsa-hybrid",
        credentials=_hybrid_we_answer,
        options={"messages": _HYBRID + messages.login(THEY) + messages.quick()},
    ),
    server("hybrid-aggressive-we-ask", "xauth-id-rsa-hybrid", credentials=_hybrid_we_ask, **_AGGRESSIVE),
    client("hybrid-aggressive-we-answer", "xauth-id-rsa-hybrid", credentials=_hybrid_we_answer, **_AGGRESSIVE),
    server(
        "hybrid-config-we-give",
        "xauth-id-rsa-hybrid",
        credentials=_hybrid_we_ask,
        ours=WE_GIVE | {"remote": "any"},
        theirs=THEY_GET,
        child=FROM_THEM,
        options=ECHO_IN,
    ),
    client(
        "hybrid-config-we-get",
        "xauth-id-rsa-hybrid",
        credentials=_hybrid_we_answer,
        ours=WE_GET,
        theirs=THEY_GIVE,
        child=TO_US,
        pools=THEIR_POOLS,
        options=ECHO_OUT,
    ),
    Scenario(
        "hybrid-gateway-begins",
        "",
        tunnel,
        BOTH,
        awaits="charon has no HybridRespRSA: it begins with “unsupported authentication”, and answers that no "
        "configuration allows it",
    ),
)


def _told(exchanges: tuple[Message, ...], address: str) -> dict[str, Any]:
    """The exchanges between phase 1 and quick mode, whose selector is the address that they have given."""
    selector = {Role.RESPONDER: f"TS {address}/32 === ", Role.INITIATOR: f"=== {address}/32"}
    return {"messages": messages.main() + exchanges + messages.quick(), "log": selector}


_WE_ASK = {"xauth": {"role": "server"}}
_BOTH_SECRETS = (_PSK, _LOGIN)
ROWS = (
    server(
        "xauth-psk-we-ask",
        "xauth-psk",
        ours={"xauth": {"role": "server"}},
        theirs=_ANSWERS,
        secrets=_BOTH_SECRETS,
        roles=BOTH,
        options={"messages": messages.main() + messages.login(WE) + messages.quick()},
    ),
    client(
        "xauth-psk-we-answer",
        "xauth-psk",
        ours=_login(),
        theirs=_ASKED,
        secrets=_BOTH_SECRETS,
        roles=BOTH,
        options={"messages": messages.main() + messages.login(THEY) + messages.quick()},
    ),
    server(
        "config-pull-we-give",
        "config-payload",
        ours=WE_GIVE,
        theirs=THEY_GET,
        child=FROM_THEM,
        options=ECHO_IN | _told(messages.transaction(THEY, r"CPRQ\(ADDR", r"CPRP\(ADDR"), OUR_FIRST),
    ),
    client(
        "config-pull-we-get",
        "config-payload",
        ours=WE_GET,
        theirs=THEY_GIVE,
        child=TO_US,
        pools=THEIR_POOLS,
        options=ECHO_OUT | _told(messages.transaction(WE, r"CPRQ\(ADDR", r"CPRP\(ADDR"), THEIR_FIRST),
    ),
    server(
        "config-push-we-give",
        "config-payload-push",
        ours=push(WE_GIVE),
        theirs=THEY_GET | {"pull": "no"},
        child=FROM_THEM,
        options=ECHO_IN | _told(messages.transaction(WE, r"CPS\(ADDR", r"CPA\(ADDR"), OUR_FIRST),
    ),
    client(
        "config-push-we-get",
        "config-payload-push",
        ours=push(WE_GET),
        theirs=THEY_GIVE | {"pull": "no"},
        child=TO_US,
        pools=THEIR_POOLS,
        options=ECHO_OUT | _told(messages.transaction(THEY, r"CPS\(ADDR", r"CPA\(ADDR"), THEIR_FIRST),
    ),
    server(
        "xauth-psk-config-we-give",
        "xauth-id-psk-config",
        ours=WE_GIVE | {"xauth": {"role": "server"}, "remote": "any", "remote_identity": identity("fqdn", MOON)},
        theirs=_ANSWERS | THEY_GET | {"local-1": {"auth": "psk", "id": MOON}},
        child=FROM_THEM,
        secrets=_BOTH_SECRETS,
        options=ECHO_IN
        | _told(messages.login(WE) + messages.transaction(THEY, r"CPRQ\(ADDR", r"CPRP\(ADDR"), OUR_FIRST),
    ),
    server(
        "xauth-config-address-stays",
        "ip-pool",
        script=rekey_phase1,
        ours=WE_GIVE | {"xauth": {"role": "server"}, "remote": "any", "remote_identity": identity("fqdn", MOON)},
        theirs=_ANSWERS | THEY_GET | {"local-1": {"auth": "psk", "id": MOON}},
        child=FROM_THEM,
        secrets=_BOTH_SECRETS,
        options={"echo": [("lan", OUR_FIRST)], "never": rf"installing new virtual IP (?!{OUR_FIRST}\b)"},
    ),
    client(
        "xauth-psk-config-we-get",
        "xauth-id-psk-config",
        ours=WE_GET | _login() | {"local_identity": identity("fqdn", SUN)},
        theirs=_ASKED | THEY_GIVE | {"remote-1": {"auth": "psk", "id": SUN}},
        child=TO_US,
        secrets=_BOTH_SECRETS,
        pools=THEIR_POOLS,
        options=ECHO_OUT,
    ),
    server("xauth-rsa-we-ask", "xauth-rsa", credentials=_rsa_we_ask, roles=BOTH),
    client("xauth-rsa-we-answer", "xauth-rsa", credentials=_rsa_we_answer, roles=BOTH),
    server(
        "xauth-rsa-config-we-give",
        "xauth-id-rsa-config",
        credentials=_rsa_we_ask,
        ours=WE_GIVE | {"remote": "any"},
        theirs=THEY_GET,
        child=FROM_THEM,
        options=ECHO_IN,
    ),
    client(
        "xauth-rsa-config-we-get",
        "xauth-id-rsa-config",
        credentials=_rsa_we_answer,
        ours=WE_GET,
        theirs=THEY_GIVE,
        child=TO_US,
        pools=THEIR_POOLS,
        options=ECHO_OUT,
    ),
    server(
        "xauth-rsa-aggressive-we-ask",
        "xauth-id-rsa-aggressive",
        credentials=_rsa_we_ask,
        ours={"exchange": "aggressive"},
        theirs={"aggressive": "yes"},
        roles=BOTH,
    ),
    client(
        "xauth-rsa-aggressive-we-answer",
        "xauth-id-rsa-aggressive",
        credentials=_rsa_we_answer,
        ours={"exchange": "aggressive"},
        theirs={"aggressive": "yes"},
        roles=BOTH,
    ),
    client(
        "virtual-ip-behind-nat",
        "nat-virtual-ip",
        kind="nat",
        ours=WE_GET | _login(),
        theirs=_ASKED | THEY_GIVE,
        child=TO_US,
        secrets=_BOTH_SECRETS,
        pools=THEIR_POOLS,
        options=ECHO_OUT,
    ),
    server(
        "xauth-aggressive-we-give",
        "xauth-psk",
        ours=WE_GIVE
        | {"xauth": {"role": "server"}, "exchange": "aggressive", "remote": "any"}
        | {"remote_identity": identity("fqdn", MOON), "local_identity": identity("fqdn", SUN)},
        theirs=_ANSWERS
        | THEY_GET
        | {"aggressive": "yes", "local-1": {"auth": "psk", "id": MOON}, "remote-1": {"auth": "psk", "id": SUN}},
        child=FROM_THEM,
        secrets=_BOTH_SECRETS,
        options=ECHO_IN | {"expected": ("ike.aggressive.used",)},
    ),
    client(
        "xauth-aggressive-we-get",
        "xauth-psk",
        ours=WE_GET
        | _login()
        | {"exchange": "aggressive"}
        | {"remote_identity": identity("fqdn", MOON), "local_identity": identity("fqdn", SUN)},
        theirs=_ASKED
        | THEY_GIVE
        | {"aggressive": "yes", "local-1": {"auth": "psk", "id": MOON}, "remote-1": {"auth": "psk", "id": SUN}},
        child=TO_US,
        secrets=_BOTH_SECRETS,
        pools=THEIR_POOLS,
        options=ECHO_OUT | {"expected": ("ike.aggressive.used",)},
    ),
    *HYBRID,
)


def _hybrid_expired() -> Credentials:
    """The gateway's certificate is over."""
    made = _hybrid_we_answer()
    local = pki.credentials(pki.certificate(pki.SUN), pki.certificate(pki.MOON, days=(-300, -2))).theirs["local"]
    return Credentials(made.ours, {**made.theirs, "local": local}, made.secrets)


def _hybrid_unknown_ca() -> Credentials:
    made = _hybrid_we_answer()
    return Credentials({**made.ours, "trusted_cas": [pki.authority("Somebody")]}, made.theirs, made.secrets)


def _hybrid_at_the_peer_alone() -> Credentials:
    """We want certificates of both ends."""
    return Credentials(pki.usual().ours, _hybrid_we_ask().theirs, _hybrid_we_ask().secrets)


BREAKAGES = (
    server(
        "broken-xauth-rsa-password",
        "xauth-rsa",
        script=broken,
        credentials=_rsa_we_ask,
        roles=BOTH,
        engine={"xauth": {"users": [{"name": USER, "password": "another-password"}]}},
        found=dict.fromkeys(BOTH, Finding("ike.xauth.failed", "peer", "password")),
    ),
    client(
        "broken-xauth-rsa-our-password",
        "xauth-rsa",
        script=broken,
        credentials=partial(_rsa_we_answer, "not-her-password"),
        roles=BOTH,
        found=dict.fromkeys(BOTH, Finding("ike.xauth.refused", "local", "User name")),
    ),
    client(
        "broken-hybrid-our-password",
        "xauth-id-rsa-hybrid",
        script=broken,
        credentials=partial(_hybrid_we_answer, "not-her-password"),
        found={Role.INITIATOR: Finding("ike.xauth.refused", "local", "User name")},
    ),
    server(
        "broken-hybrid-password",
        "xauth-id-rsa-hybrid",
        script=broken,
        credentials=_hybrid_we_ask,
        engine={"xauth": {"users": [{"name": USER, "password": "another-password"}]}},
        found={Role.RESPONDER: Finding("ike.xauth.failed", "peer", "password")},
    ),
    client(
        "broken-hybrid-gateway-expired",
        "xauth-id-rsa-hybrid",
        script=broken,
        credentials=_hybrid_expired,
        found={Role.INITIATOR: Finding("ike.phase1.certificate.expired", "peer", "has expired")},
    ),
    client(
        "broken-hybrid-unknown-ca",
        "xauth-id-rsa-hybrid",
        script=broken,
        credentials=_hybrid_unknown_ca,
        found={Role.INITIATOR: Finding("ike.phase1.certificate.unknown_ca", "local", "Trusted CAs")},
    ),
    Scenario(
        "broken-hybrid-not-expected-there",
        "xauth-id-rsa-hybrid",
        broken,
        (Role.INITIATOR,),
        credentials=_hybrid_we_answer,
        theirs={"remote": {"auth": "pubkey", "id": pki.SUN}},
        found={Role.INITIATOR: Finding("ike.phase1.notify", "peer", "hybrid authentication")},
    ),
    Scenario(
        "broken-hybrid-not-expected-here",
        "xauth-id-rsa-hybrid",
        broken,
        (Role.RESPONDER,),
        credentials=_hybrid_at_the_peer_alone,
        found={Role.RESPONDER: Finding("ike.phase1.no_proposal", "local", "here rsa-signature, peer hybrid-rsa")},
    ),
    server(
        "broken-xauth-password",
        "xauth-psk",
        script=broken,
        ours={"xauth": {"role": "server"}},
        theirs=_ANSWERS,
        secrets=(_PSK, {**_LOGIN, "data": "not-her-password"}),
        found={Role.RESPONDER: Finding("ike.xauth.failed", "peer", "password")},
    ),
    server(
        "broken-xauth-guessing",
        "xauth-psk",
        script=guessed,
        ours={"xauth": {"role": "server"}},
        theirs=_ANSWERS,
        secrets=(_PSK, {**_LOGIN, "data": "not-her-password"}),
        fresh=True,
        found={Role.RESPONDER: Finding("ike.xauth.locked", "peer", "Wait until")},
    ),
    server(
        "broken-xauth-unknown-user",
        "xauth-psk",
        script=broken,
        ours={"xauth": {"role": "server"}},
        theirs=_ANSWERS,
        secrets=_BOTH_SECRETS,
        engine={"xauth": {"users": [{"name": "dave", "password": PASSWORD}]}},
        fresh=True,  # the row before has locked the address out
        found={Role.RESPONDER: Finding("ike.xauth.failed", "peer", "user")},
    ),
    client(
        "broken-xauth-our-password",
        "xauth-psk",
        script=broken,
        ours=_login("not-her-password"),
        theirs=_ASKED,
        secrets=_BOTH_SECRETS,
        found={Role.INITIATOR: Finding("ike.xauth.refused", "local", "User name")},
    ),
    Scenario(
        "broken-xauth-not-expected-here",
        "xauth-psk",
        broken,
        BOTH,
        theirs=_ASKED,
        secrets=_BOTH_SECRETS,
        found={Role.INITIATOR: Finding("ike.phase1.notify", "peer", "XAUTH")}
        | {Role.RESPONDER: Finding("ike.phase1.no_proposal", "local", "authentication: here psk")},
    ),
    server(
        "broken-pool-exhausted",
        "ip-pool",
        script=exhausted,
        ours=WE_GIVE,
        theirs=THEY_GET,
        child=FROM_THEM,
        engine={"pools": [{"name": "clients", "addresses": "10.72.9.1-10.72.9.2"}]},
        found={Role.RESPONDER: Finding("ike.config.exhausted", "local", "pool")},
    ),
)
