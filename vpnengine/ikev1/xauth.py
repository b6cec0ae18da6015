"""XAUTH: after phase 1 a user shows a name and a password (draft-ietf-ipsec-isakmp-xauth-06), as either end."""

from __future__ import annotations

from vpnengine.contract.remote_access import XauthClient
from vpnengine.ikev1 import authentication, clients, informational, lifecycle, mode_config, retransmit, transaction
from vpnengine.ikev1.core import Core
from vpnengine.ikev1.faults import Fault, LocalConfigFault, PathFault, PeerFault
from vpnengine.ikev1.model import Answer, IsakmpSa
from vpnengine.ikev1.states import Phase1, Step
from vpnengine.ikev1.users import Verdict
from vpnengine.isakmp.configuration import ConfigAttribute as A
from vpnengine.isakmp.configuration import ConfigType, Configuration, Item

TIME_S = 60.0
MAX_ROUNDS = 3
MAX_NAME = 64
GENERIC = 0
OK, FAIL = Item(A.XAUTH_STATUS, b"\0\1"), Item(A.XAUTH_STATUS, b"\0\0")


def finish_phase1(core: Core, sa: IsakmpSa, first: bool) -> None:
    """Both ends have proven themselves: phase 1 is up, unless a user has to show a password first."""
    client = authentication.method(sa).client
    if client is None:
        _up(core, sa, first)
        return
    sa.state, sa.first_contact = Phase1.XAUTH, first
    core.timers.cancel(("half-open", sa.cookies))
    core.timers.set(("xauth", sa.cookies), core.now + TIME_S, "a user's password", lambda: _too_late(core, sa))
    if client is not sa.role:
        # A moment after the last message of aggressive mode: a peer that reads both at once ignores this one.
        if sa.quick_from > core.now:
            core.timers.set(("xauth ask", sa.cookies), sa.quick_from, "a question", lambda: _ask(core, sa))
        else:
            _ask(core, sa)


def _ask(core: Core, sa: IsakmpSa) -> None:
    if sa.state is not Phase1.XAUTH:
        return
    transaction.begin(
        core,
        sa,
        ConfigType.REQUEST,
        [Item(A.XAUTH_USER_NAME), Item(A.XAUTH_USER_PASSWORD)],
        lambda message: _credentials(core, sa, message),
        lambda: _too_late(core, sa),
    )


def _up(core: Core, sa: IsakmpSa, first: bool) -> None:
    core.timers.cancel(("xauth", sa.cookies))
    clients.adopt(core, sa)
    lifecycle.established(core, sa, first)
    mode_config.begin(core, sa)


def _too_late(core: Core, sa: IsakmpSa) -> None:
    if sa.state is Phase1.XAUTH:
        _fail(core, sa, PathFault("ike.xauth.timeout"))


def _fail(core: Core, sa: IsakmpSa, fault: Fault) -> None:
    informational.send_delete_isakmp(core, sa)
    lifecycle.fail_with(core, sa, fault)


def ended_by_peer(core: Core, sa: IsakmpSa) -> None:
    """The peer has deleted the SA, or sent an authentic error, before the password was accepted."""
    lifecycle.fail_with(core, sa, PeerFault("ike.xauth.ended"))


# As server


def _credentials(core: Core, sa: IsakmpSa, message: Configuration) -> None:
    """The user's name and password have come."""
    name, password = message.get(A.XAUTH_USER_NAME) or b"", message.get(A.XAUTH_USER_PASSWORD) or b""
    verdict = core.users.check(name, password, sa.remote.host, core.now)
    sa.user = printable(name)
    if verdict is Verdict.GOOD:
        core.emit("ike.xauth.passed", sa=sa, user=sa.user)
        sa.granted = True
        _tell(core, sa, OK)
        return
    code = "ike.xauth.locked" if verdict is Verdict.LOCKED else "ike.xauth.failed"
    core.counters["XAUTH failed"] += 1
    if not core.quiet(code, f"{sa.remote.host} {sa.user}", sa.peer):
        core.emit(code, sa=sa, user=sa.user, evidence={"user": sa.user, "address": sa.remote.host})
    _tell(core, sa, FAIL)


def _tell(core: Core, sa: IsakmpSa, status: Item) -> None:
    def done() -> None:
        if sa.state is not Phase1.XAUTH:
            return
        if status is OK:
            _up(core, sa, sa.first_contact)
        else:
            informational.send_delete_isakmp(core, sa)
            lifecycle.forget(core, sa)

    # That the password was wrong has been said: a client that does not acknowledge it is no failure of its own.
    failed = (lambda: _too_late(core, sa)) if status is OK else done
    if status is FAIL:
        core.timers.cancel(("xauth", sa.cookies))
    transaction.begin(core, sa, ConfigType.SET, [status], lambda message: done(), failed)


def implied(core: Core, sa: IsakmpSa) -> None:
    """A client that goes on has our OK, although its acknowledgement may be lost."""
    if sa.state is not Phase1.XAUTH or not sa.granted:
        return
    for number, exchange in sa.transactions.items():
        if exchange.state is Step.SET_SENT:
            retransmit.cancel(core, (sa.cookies, number))
            exchange.state = Step.DONE
    _up(core, sa, sa.first_contact)


def printable(name: bytes) -> str:
    """A user's name for events; what a stranger sends is bounded."""
    text = name.removesuffix(b"\0").decode("utf-8", "replace")[:MAX_NAME]
    return text if text.isprintable() else name.hex()[:MAX_NAME]


# As client


def _is_client(sa: IsakmpSa) -> bool:
    return authentication.method(sa).client is sa.role and isinstance(sa.peer.config.xauth, XauthClient)


def asked(core: Core, sa: IsakmpSa, message: Configuration) -> Answer | None:
    """The peer asks for the user's name and password. Only what it asks for is told."""
    config = sa.peer.config.xauth
    if not _is_client(sa) or not isinstance(config, XauthClient) or sa.xauth_rounds >= MAX_ROUNDS:
        return None
    sa.xauth_rounds += 1
    kind = message.get(A.XAUTH_TYPE)
    wanted = {item.type for item in message.items}
    if (kind and int.from_bytes(kind, "big") != GENERIC) or A.XAUTH_USER_PASSWORD not in wanted:
        fault = PeerFault("ike.xauth.unsupported", evidence={"asked": ", ".join(map(_name, sorted(wanted)))})
        return Answer([FAIL], lambda: _fail(core, sa, fault))
    items = [Item(A.XAUTH_TYPE, b"\0\0")] if kind is not None else []
    if A.XAUTH_USER_NAME in wanted:
        items.append(Item(A.XAUTH_USER_NAME, config.user.encode()))
    items.append(Item(A.XAUTH_USER_PASSWORD, config.password.get_secret_value().encode()))
    return Answer(items)


def _name(number: int) -> str:
    try:
        return A(number).name.lower().replace("_", "-")
    except ValueError:
        return str(number)


def told(core: Core, sa: IsakmpSa, message: Configuration) -> Answer | None:
    """The peer says whether the password was right."""
    status = message.get(A.XAUTH_STATUS)
    if not _is_client(sa) or status is None or not sa.xauth_rounds:
        return None
    if int.from_bytes(status, "big"):
        return Answer([Item(A.XAUTH_STATUS)], lambda: _accepted(core, sa))
    return Answer([Item(A.XAUTH_STATUS)], lambda: _refused(core, sa))


def _accepted(core: Core, sa: IsakmpSa) -> None:
    if sa.state is Phase1.XAUTH:
        core.emit("ike.xauth.accepted", sa=sa)
        _up(core, sa, sa.first_contact)


def _refused(core: Core, sa: IsakmpSa) -> None:
    config = sa.peer.config.xauth
    user = config.user if isinstance(config, XauthClient) else ""
    lifecycle.fail_with(core, sa, LocalConfigFault("ike.xauth.refused", user=user, evidence={"user": user}))
