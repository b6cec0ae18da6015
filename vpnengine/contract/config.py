"""``EngineConfig``: the whole desired configuration of one engine.

A document is complete by itself: what it does not list is removed. It is
validated as a whole before anything is changed.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, Field, IPvAnyAddress, SecretStr, ValidationError, model_validator

from vpnengine.contract.authentication import (
    Authentication,
    Certificates,
    RevocationLists,
    check_hybrid,
    check_own_certificate,
    check_provable,
    check_psk,
    check_trust,
)
from vpnengine.contract.identity import Identity
from vpnengine.contract.kernel import KERNEL_DEFAULT, KernelPolicy, check_interfaces
from vpnengine.contract.outer import OuterPolicy
from vpnengine.contract.policies import DpdPolicy, Phase1Policy, Phase2Policy, RetransmitPolicy, weak_choices
from vpnengine.contract.problems import Problem, Refused, problems_of
from vpnengine.contract.remote_access import AddressPool, ModeConfig, Xauth, XauthPolicy
from vpnengine.contract.selectors import Key, Protected, check_hosts
from vpnengine.contract.types import Host, Model, Remote, remote_networks

SCHEMA_VERSION: Literal[1] = 1


class StartMode(StrEnum):
    """When a tunnel is negotiated."""

    TRAFFIC = "traffic"
    IMMEDIATE = "immediate"
    RESPONDER = "responder"


class PeerConfig(Protected):
    """One third-party gateway.

    ``id`` is stable over renames. ``remote`` is a host, a subnet, a range or ``any``; from
    anything but a host the peer has to begin. ``alternates`` are further hosts to try, in
    order. ``local_address`` None means the address that the routing table chooses. ``psk`` is
    the pre-shared secret in UTF-8. ``exchange`` aggressive is for peers that allow nothing
    else: its hash lets whoever watches or asks try secrets offline. ``legacy`` allows weak
    algorithms. ``replay_window`` is in packets, for IPsec SAs negotiated from now on.

    ``nat_traversal`` “rfc” and “drafts” announce only RFC 3947 or only its drafts 02 and 03, for peers that
    are confused by both. ``fragmentation`` “force” also fragments for a peer that has not announced it;
    ``fragment_size`` is the largest IP packet in octets, 1280 by default and 576 if forced.

    ``outer`` are the rules for headers outside and inside: DF, fragments, TCP segment size, DSCP. ``kernel`` is what
    the kernel's data path alone can do: an interface of the peer's own, marks, hardware.

    ``initial_contact`` “off” neither sends INITIAL-CONTACT nor removes anything when the peer sends it, for
    several gateways that share one identity.

    With ``authentication`` "rsa" or "ecdsa" both ends prove themselves with a signature.
    ``certificate`` is PEM: this side's own first, then the CAs between it and a root.
    ``private_key`` belongs to it, without a passphrase. ``trusted_cas`` are the CAs that may
    issue the peer's certificate, or that certificate itself; ``crl`` what those CAs revoked.
    The certificate has to prove ``remote_identity``; without one, the address or host name
    in ``remote``. Without ``local_identity`` this side is called what its certificate says.
    With "hybrid" only the ``xauth`` server has a certificate, and the client its user's password.

    After phase 1 ``xauth`` asks a user for a password, here or there. With ``mode_config`` the
    client's inner address is assigned: as client this side has no ``local_subnets``, as server the
    peer no ``remote_subnets``, and any number of clients may come in under one such row.
    """

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
    name: Annotated[str, Field(min_length=1, max_length=80)]
    remote: Remote
    alternates: Annotated[tuple[Host, ...], Field(max_length=8)] = ()
    local_address: IPvAnyAddress | None = None
    local_identity: Identity | None = None
    remote_identity: Identity | None = None
    authentication: Authentication = "psk"
    psk: SecretStr | None = None
    certificate: Certificates | None = None
    private_key: SecretStr | None = None
    trusted_cas: Annotated[tuple[Certificates, ...], Field(max_length=64)] = ()
    crl: RevocationLists | None = None
    exchange: Literal["main", "aggressive"] = "main"
    xauth: Xauth | None = None
    mode_config: ModeConfig | None = None
    phase1: Phase1Policy = Phase1Policy()
    phase2: Phase2Policy = Phase2Policy()
    start: StartMode = StartMode.TRAFFIC
    dpd: DpdPolicy = DpdPolicy()
    outer: OuterPolicy = OuterPolicy()
    kernel: KernelPolicy = KERNEL_DEFAULT
    retransmit: RetransmitPolicy = RetransmitPolicy()
    nat_traversal: Literal["auto", "force", "rfc", "drafts", "off"] = "auto"
    fragmentation: Literal["auto", "force", "off"] = "auto"
    initial_contact: Literal["auto", "off"] = "auto"
    fragment_size: Annotated[int, Field(ge=296, le=1500)] | None = None
    legacy: bool = False
    replay_window: Annotated[int, Field(ge=32, le=4_096)] = 64

    @property
    def fixed(self) -> bool:
        """True if the peer's address is known, so that we can begin."""
        return not remote_networks(self.remote)

    @property
    def signs(self) -> bool:
        """True if this side proves itself with its certificate."""
        if self.authentication == "hybrid":
            return self.xauth is not None and self.xauth.role == "server"
        return self.authentication != "psk"

    @property
    def peer_signs(self) -> bool:
        """True if the peer proves itself with its certificate."""
        if self.authentication == "hybrid":
            return not self.signs
        return self.authentication != "psk"

    def may_overlap(self) -> bool:
        """A packet finds an interface by its route, and a marked one its peer by the mark."""
        return self.kernel.is_apart

    def assigned_field(self) -> str | None:
        """Mode config gives the client its address."""
        if self.mode_config is None:
            return None
        return "local_subnets" if self.mode_config.role == "client" else "remote_subnets"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.authentication == "psk":
            check_psk(self.psk, aggressive=self.exchange == "aggressive")
        self._check_certificates()
        self._check_legacy()
        self._check_address()
        self._check_exchange()
        self._check_kernel()
        if self.phase2.mode == "transport":
            check_hosts(self)
        self._check_remote_access()
        return self

    def _check_certificates(self) -> None:
        if self.authentication == "hybrid":
            check_hybrid(self.xauth.role if self.xauth else None, self.certificate, self.trusted_cas)
        if self.signs:
            check_own_certificate(self.authentication, self.certificate, self.private_key)
            check_provable("local_identity", self.local_identity)
        if self.peer_signs:
            check_trust(self.authentication, self.trusted_cas)
            check_provable("remote_identity", self.remote_identity)
            if not self.fixed and self.remote_identity is None:
                raise ValueError("remote_identity: a peer without a fixed address needs one that its certificate says")

    def _check_legacy(self) -> None:
        """Weak algorithms need the peer's switch."""
        if self.legacy:
            return
        for field, algorithm in weak_choices(self.phase1, self.phase2):
            raise ValueError(
                f"{field}: {algorithm.value} is weak: {algorithm.weakness}. Choose a stronger one, or, if the other "
                "gateway knows nothing better, turn on “Allow legacy algorithms” (legacy) for this peer"
            )

    def _check_address(self) -> None:
        if not self.fixed and self.start is not StartMode.RESPONDER:
            raise ValueError(
                f"start: {self.remote} is no single address, so that only the peer can begin; choose “responder”"
            )
        if not self.fixed and self.alternates:
            raise ValueError(f"alternates: {self.remote} is no single address; further ones have no use")
        if len({self.remote, *self.alternates}) <= len(self.alternates):
            raise ValueError("alternates: list each address once, and not the first one again")

    def _check_kernel(self) -> None:
        if self.kernel.route_based is None:
            return
        if self.phase2.mode == "transport":
            raise ValueError("kernel.route_based: an interface carries tunnel mode only; choose tunnel mode")
        if self.mode_config is not None:
            raise ValueError("kernel.route_based: mode config assigns addresses to policies; leave one of both out")

    def _check_exchange(self) -> None:
        if self.exchange != "aggressive":
            return
        if len({proposal.group for proposal in self.phase1.proposals}) > 1:
            raise ValueError(
                "phase1.proposals: aggressive mode cannot negotiate the Diffie-Hellman group; choose one group only"
            )

    def _check_remote_access(self) -> None:
        if self.xauth is not None and self.authentication == "ecdsa":
            raise ValueError("xauth: there is no XAUTH with ECDSA certificates; use a pre-shared secret or RSA")
        if self.mode_config is None:
            return
        if self.mode_config.role == "client" and self.start is StartMode.TRAFFIC:
            raise ValueError(
                "start: without an address of its own this side has no traffic that could start the tunnel; choose "
                "“immediate”"
            )
        if self.mode_config.role == "server" and self.start is not StartMode.RESPONDER:
            raise ValueError("start: clients begin themselves; choose “responder”")


class Listen(Model):
    """Local UDP ports; a test may use others than 500 and 4500."""

    ike_port: Annotated[int, Field(ge=1, le=65_535)] = 500
    natt_port: Annotated[int, Field(ge=1, le=65_535)] = 4500


class EngineConfig(Model):
    """The whole configuration of one engine; ``revision`` numbers the document."""

    schema_version: Literal[1] = SCHEMA_VERSION
    revision: Annotated[int, Field(ge=0)] = 0
    listen: Listen = Listen()
    dataplane: Literal["auto", "kernel", "native", "userspace", "fake"] = "auto"
    peers: Annotated[tuple[PeerConfig, ...], Field(max_length=20_000)] = ()
    xauth: XauthPolicy = XauthPolicy()
    pools: Annotated[tuple[AddressPool, ...], Field(max_length=256)] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_unique("id", [p.id for p in self.peers])
        _check_unique("name", [p.name.casefold() for p in self.peers])
        _check_selectors(self.peers)
        check_choice(self.peers)
        check_interfaces((index, peer.kernel) for index, peer in enumerate(self.peers))
        self._check_remote_access()
        return self

    def _check_remote_access(self) -> None:
        names = [pool.name for pool in self.pools]
        if len(set(names)) < len(names):
            raise ValueError("pools: each pool has a name of its own")
        for index, peer in enumerate(self.peers):
            if peer.mode_config and peer.mode_config.role == "server" and peer.mode_config.pool not in names:
                raise ValueError(f"peers.{index}.mode_config.pool: there is no pool “{peer.mode_config.pool}”")
            if peer.xauth and peer.xauth.role == "server" and not self.xauth.users:
                raise ValueError(f"peers.{index}.xauth: nobody can come in: xauth.users lists no user")


def _check_unique(field: str, values: list[str]) -> None:
    seen: set[str] = set()
    for index, value in enumerate(values):
        if value in seen:
            raise ValueError(f"peers.{index}.{field}: “{value}” is used by another peer; {field}s are unique")
        seen.add(value)


def _check_selectors(peers: tuple[PeerConfig, ...]) -> None:
    """Two peers may not claim the same selector: the packet could go to either."""
    owners: dict[tuple[Key, tuple[int, int, int]], str] = {}
    for index, peer in enumerate(peers):
        field = "selectors" if peer.selectors else "remote_subnets"
        for selector in peer.protected():
            owner = owners.setdefault((selector.key, peer.kernel.apart), peer.name)
            if owner != peer.name:
                what = f"{selector.remote} from {selector.local}"
                raise ValueError(f"peers.{index}.{field}: {what} already goes to peer “{owner}”")


def check_choice(peers: tuple[PeerConfig, ...]) -> None:
    """A responder must be able to tell peers at one address apart, or some can never come up.

    Main mode chooses the pre-shared secret by address alone; after it, and in aggressive mode,
    the identity decides.

    :raises ValueError: naming the field of the peer that cannot work.
    """
    seen: dict[tuple[str, str, str], list[PeerConfig]] = {}
    for index, peer in enumerate(peers):
        for address in (peer.remote, *peer.alternates):
            before = seen.setdefault((peer.exchange, address, str(peer.local_address)), [])
            for other in before:
                _check_pair(index, peer, other)
            before.append(peer)


def _check_pair(index: int, peer: PeerConfig, other: PeerConfig) -> None:
    where = f"the same address as peer “{other.name}”"
    if peer.exchange == "main" and peer.psk and other.psk and peer.psk != other.psk:
        raise ValueError(
            f"peers.{index}.psk: {where} and another pre-shared secret; main mode chooses the secret by address alone, "
            "so enter the same secret in both, or merge the two"
        )
    mine, theirs = (p.remote_identity and (p.remote_identity.type, p.remote_identity.value) for p in (peer, other))
    if mine == theirs or (peer.exchange == "main" and None in (mine, theirs)):
        raise ValueError(
            f"peers.{index}.remote_identity: {where}; enter a remote identity of its own in each, or they cannot be "
            "told apart"
        )


def parse_config(document: Any) -> EngineConfig:
    """Validate a decoded JSON document.

    :raises Refused: with every problem found, each naming its field; never a secret.
    """
    try:
        return EngineConfig.model_validate(document)
    except ValidationError as error:
        raise Refused([_with_prefix(problem) for problem in problems_of(error)]) from None


def _with_prefix(problem: Problem) -> Problem:
    """Move a ``field: sentence`` prefix of a cross-field message into the field's path."""
    match = re.match(r"^([a-z][a-z0-9_.]*): (.*)$", problem.message, re.DOTALL)
    if not match:
        return problem
    path = f"{problem.field}.{match[1]}" if problem.field else match[1]
    return Problem(field=path, rule=problem.rule, message=match[2])


def config_for_wire(config: EngineConfig) -> dict[str, Any]:
    """The document with its secrets in clear, for the control socket and nothing else.

    Row by row: in one piece, thousands of them would keep every other thread of the process waiting.
    """
    document = config.model_dump(mode="json", exclude={"peers"})
    _reveal(config, document)
    document["peers"] = [peer.model_dump(mode="json") for peer in config.peers]
    for peer, row in zip(config.peers, document["peers"], strict=True):
        _reveal(peer, row)
    return document


def _reveal(model: BaseModel, document: dict[str, Any]) -> None:
    """Put every secret of ``model``, however deep, into its place in ``document``."""
    for name in document.keys() & type(model).model_fields.keys():
        value = getattr(model, name)
        if isinstance(value, SecretStr):
            document[name] = value.get_secret_value()
        elif isinstance(value, BaseModel):
            _reveal(value, document[name])
        elif isinstance(value, tuple):
            for part, row in zip(value, document[name], strict=True):
                if isinstance(part, BaseModel):
                    _reveal(part, row)
