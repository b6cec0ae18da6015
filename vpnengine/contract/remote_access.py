"""XAUTH and Mode Config: users, address pools, and which part a peer's configuration plays in them.

Both are drafts that were never RFCs and are deployed all the same
(draft-ietf-ipsec-isakmp-xauth-06, draft-ietf-ipsec-isakmp-mode-cfg-05).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from vpnengine.contract.types import Model, host, remote, remote_networks, subnet

MAX_POOL = 65_536


def _subnet4(text: str) -> str:
    found = subnet(text)
    if ":" in found:
        raise ValueError(f"“{text}” is no IPv4 subnet; clients have IPv4 addresses only")
    return found


def _domain(text: str) -> str:
    found = host(text)
    if found.replace(".", "").isdigit() or ":" in found:
        raise ValueError(f"“{text}” is no domain; write it like example.com")
    return found


Subnet4 = Annotated[str, AfterValidator(_subnet4)]


class XauthClient(Model):
    """This side proves itself with a user name and a password after phase 1."""

    role: Literal["client"]
    user: Annotated[str, Field(min_length=1, max_length=128)]
    password: SecretStr


class XauthServer(Model):
    """This side asks for a user name and a password, and looks them up in ``EngineConfig.xauth``."""

    role: Literal["server"]


Xauth = Annotated[XauthClient | XauthServer, Field(discriminator="role")]


class ConfigClient(Model):
    """This side is given its inner address: it asks for it (pull), or waits for it (push).

    With ``unity`` it also asks a gateway that announces Cisco's Unity which subnets go into the
    tunnel, and takes those of its ``remote_subnets`` that are among them.
    """

    role: Literal["client"]
    way: Literal["pull", "push"] = "pull"
    unity: bool = True


class ConfigServer(Model):
    """This side gives the peer an inner address from a pool, when it is asked (pull) or by itself (push).

    With ``unity`` a client that announces Cisco's Unity is also told the peer's ``local_subnets`` as
    what goes into its tunnel (split include), ``split_exclude`` as what does not, the ``banner`` and
    ``default_domain``, and whether it may keep the user's password. Such a client may ask for all
    addresses in quick mode; it reaches no more than ``local_subnets``.
    """

    role: Literal["server"]
    way: Literal["pull", "push"] = "pull"
    pool: str
    unity: bool = True
    split_exclude: Annotated[tuple[Subnet4, ...], Field(max_length=64)] = ()
    banner: Annotated[str, Field(max_length=1024)] | None = None
    default_domain: Annotated[str, AfterValidator(_domain)] | None = None
    save_password: bool = False


ModeConfig = Annotated[ConfigClient | ConfigServer, Field(discriminator="role")]


class XauthUser(Model):
    """One user."""

    name: Annotated[str, Field(min_length=1, max_length=128)]
    password: Annotated[SecretStr, Field(min_length=8, max_length=128)]


class XauthPolicy(Model):
    """Who may come in, and how many wrong passwords lock a user or an address out for how long."""

    users: Annotated[tuple[XauthUser, ...], Field(max_length=10_000)] = ()
    max_failures: Annotated[int, Field(ge=1, le=100)] = 5
    lockout_s: Annotated[int, Field(ge=1, le=86_400)] = 300

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [user.name for user in self.users]
        twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
        if twice is not None:
            raise ValueError(f"users: “{twice}” is listed twice; names are unique")
        return self


def _addresses(text: str) -> str:
    found = remote(text)
    networks = remote_networks(found)
    if found == "any" or any(network.version != 4 for network in networks):
        raise ValueError(f"“{text}” is no IPv4 subnet or range; write it like 10.9.0.0/24")
    if not networks:
        raise ValueError(f"“{text}” is a single address; a pool is a subnet or a range")
    if sum(network.num_addresses for network in networks) > MAX_POOL:
        raise ValueError(f"“{text}” has more than {MAX_POOL} addresses")
    return found


class AddressPool(Model):
    """Inner addresses for clients. ``addresses`` is an IPv4 subnet (without its first and last address) or a range."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
    addresses: Annotated[str, AfterValidator(_addresses)]
    dns: Annotated[tuple[ipaddress.IPv4Address, ...], Field(max_length=4)] = ()

    def hosts(self) -> Iterator[ipaddress.IPv4Address]:
        """The addresses that may be given, in order."""
        for network in remote_networks(self.addresses):
            if isinstance(network, ipaddress.IPv4Network):
                yield from network.hosts() if "/" in self.addresses else network
