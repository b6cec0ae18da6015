"""What the engine says of its present state."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

SaState = Literal["larval", "mature", "rekeyed", "dying"]
Phase1State = Literal["down", "negotiating", "established"]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SaStatus(_Model):
    """One IPsec SA pair. Octets and packets are of the inner packets; ages in seconds.

    ``esn`` means 64-bit sequence numbers, ``limit_bytes`` the octets after which the pair ends in either direction.
    """

    state: SaState
    spi_in: str
    spi_out: str
    local: str
    remote: str
    encryption: str
    integrity: str | None
    pfs_group: str | None
    esn: bool = False
    encapsulation: Literal["tunnel", "udp-tunnel", "transport", "udp-transport"]
    bytes_in: int
    bytes_out: int
    packets_in: int
    packets_out: int
    replayed: int
    failed: int
    age_s: float
    rekey_in_s: float | None
    expires_in_s: float
    limit_bytes: int | None = None


class Phase1Status(_Model):
    """The ISAKMP SA that is used for new exchanges with a peer.

    ``remote_certificate`` is the subject of the peer's certificate, ``remote_certificate_until``
    its last second, since 1970. ``nat_traversal`` is the version that both know, ``fragmentation``
    and ``dpd`` are what the peer has announced.
    """

    state: Phase1State
    age_s: float | None = None
    role: Literal["initiator", "responder"] | None = None
    exchange: Literal["main", "aggressive"] | None = None
    initiator_cookie: str | None = None
    responder_cookie: str | None = None
    encryption: str | None = None
    hash: str | None = None
    group: str | None = None
    local: str | None = None
    remote: str | None = None
    local_identity: str | None = None
    remote_identity: str | None = None
    authentication: str | None = None
    remote_certificate: str | None = None
    remote_certificate_until: float | None = None
    nat: Literal["none", "local", "remote", "both"] | None = None
    nat_traversal: str | None = None
    fragmentation: bool | None = None
    dpd: bool | None = None
    rekey_in_s: float | None = None
    expires_in_s: float | None = None


class LastFailure(_Model):
    """The newest failure of a peer that is not followed by success."""

    time: float
    code: str
    side: str
    text: str
    hint: str


class ClientStatus(_Model):
    """One client of a row that gives addresses: its user or identity, inner and outer address."""

    name: str
    address: str | None
    remote: str | None


class PeerStatus(_Model):
    """One configured peer. ``assigned`` is our own inner address, if mode config has given us one."""

    id: str
    name: str
    remote: str
    start: str
    phase1: Phase1Status
    sas: tuple[SaStatus, ...]
    selectors: tuple[tuple[str, str], ...]
    assigned: str | None = None
    clients: tuple[ClientStatus, ...] = ()
    last_failure: LastFailure | None = None


class DataPathStatus(_Model):
    """What carries the packets of all tunnels, and what it can do.

    ``passed_over`` says why each of the data paths that would have been chosen before it is not used.
    """

    name: str
    raw_esp: bool
    transport: bool
    ah: bool
    passed_over: tuple[str, ...] = ()


class EngineStatus(_Model):
    """The answer to ``status``; ``drops`` counts packets and datagrams by reason.

    ``digest`` is ``contract.digest.config_digest`` of the configuration that is in force.
    """

    revision: int
    digest: str = ""
    dataplane: str
    boot: str
    uptime_s: float
    peers: tuple[PeerStatus, ...]
    drops: dict[str, int] = {}
    conditions: tuple[str, ...] = ()
    data_path: DataPathStatus | None = None
