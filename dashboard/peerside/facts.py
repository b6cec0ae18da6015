"""What the other gateway must have: the mirror image of our row, without any maker's words.

``local`` is the other gateway's own end here, ``remote`` is ours. Lifetimes are in seconds, or in units of 1000
octets where the name ends in ``kb``.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from vpnengine.contract.algorithms import DhGroup
from vpnengine.contract.config import PeerConfig, StartMode
from vpnengine.contract.identity import Identity, IdentityType
from vpnengine.contract.policies import EspProposal, IkeProposal

PLACEHOLDER = "PASTE THE PRE-SHARED SECRET HERE"
OUR_ADDRESS = "ENTER THE PUBLIC ADDRESS OF THIS SITE"
THEIR_ADDRESS = "ENTER THE PUBLIC ADDRESS OF THE OTHER GATEWAY"


@dataclass(frozen=True)
class Pair:
    """What one IPsec SA pair protects, seen from the other gateway; 0 means any protocol or port."""

    local: str
    remote: str
    protocol: int = 0
    local_port: int = 0
    remote_port: int = 0

    @property
    def plain(self) -> bool:
        """True if both ends are whole subnets, for all protocols."""
        return not (self.protocol or "-" in self.local + self.remote)


@dataclass(frozen=True)
class OtherSide:
    """Everything that the other gateway has to be told. An empty address is not known, or changes."""

    title: str
    local_address: str
    remote_address: str
    local_identity: Identity | None
    remote_identity: Identity | None
    authentication: str
    exchange: str
    ike: tuple[IkeProposal, ...]
    ike_lifetime: int
    esp: tuple[EspProposal, ...]
    pfs: DhGroup | None
    esp_lifetime: int
    esp_lifetime_kb: int | None
    esn: bool
    mode: str
    pairs: tuple[Pair, ...]
    dpd_delay: int
    dpd_timeout: int
    forced_nat: bool
    begins: bool
    """True if this end only answers, so that the other one has to begin."""
    users: bool = False
    secret: str = PLACEHOLDER

    @property
    def local_subnets(self) -> tuple[str, ...]:
        """Subnets behind the other gateway, each once."""
        return tuple(dict.fromkeys(pair.local for pair in self.pairs))

    @property
    def remote_subnets(self) -> tuple[str, ...]:
        """Our subnets, each once."""
        return tuple(dict.fromkeys(pair.remote for pair in self.pairs))

    @property
    def groups(self) -> tuple[DhGroup, ...]:
        """The Diffie-Hellman groups of phase 1, each once, in order."""
        return tuple(dict.fromkeys(proposal.group for proposal in self.ike))

    @property
    def dpd_failures(self) -> int:
        """The timeout as a number of unanswered questions, at least two."""
        return max(2, round(self.dpd_timeout / self.dpd_delay)) if self.dpd_delay else 0

    def name(self, limit: int = 31) -> str:
        """The connection's name on the other gateway: letters, digits and dashes, beginning with a letter."""
        return slug(self.title, limit)


def slug(text: str, limit: int) -> str:
    """``text`` as a name that every gateway takes."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    plain = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    return ("culvert-" + plain if plain else "culvert")[:limit].rstrip("-")


def mirror(config: PeerConfig, site: str, our_address: str = "") -> OtherSide:
    """The other gateway's end of ``config``. ``site`` is what our side is called, ``our_address`` its public address.

    Without an address of our own, and without an identity, the other side has to enter what it sees.
    """
    pairs = tuple(
        Pair(one.remote, one.local, one.protocol, one.remote_port, one.local_port) for one in config.protected()
    )
    return OtherSide(
        title=site,
        local_address=config.remote if config.fixed else "",
        remote_address=our_address,
        local_identity=config.remote_identity,
        remote_identity=config.local_identity or _address_identity(our_address),
        authentication=config.authentication,
        exchange=config.exchange,
        ike=config.phase1.proposals,
        ike_lifetime=config.phase1.lifetime_s,
        esp=config.phase2.proposals,
        pfs=config.phase2.pfs_group,
        esp_lifetime=config.phase2.lifetime_s,
        esp_lifetime_kb=config.phase2.lifetime_kb,
        esn=config.phase2.esn,
        mode=config.phase2.mode,
        pairs=pairs,
        dpd_delay=config.dpd.interval_s,
        dpd_timeout=config.dpd.timeout_s,
        forced_nat=config.nat_traversal == "force",
        begins=config.start is StartMode.RESPONDER,
        users=config.xauth is not None or config.mode_config is not None,
    )


def _address_identity(address: str) -> Identity | None:
    for kind in (IdentityType.IPV4, IdentityType.IPV6):
        try:
            return Identity(type=kind, value=address)
        except ValueError:
            continue
    return None
