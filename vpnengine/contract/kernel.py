"""What a peer may ask of the kernel's own IPsec alone: an interface of its own, marks, hardware."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Interface, IPv6Interface, ip_interface
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from vpnengine.contract.types import Model, Subnet

OWN_MARK = 0xC0DE
"""What the engine marks its own outer packets with."""
_ALL = 0xFFFFFFFF
_RESERVED = ("lo", "all", "default")


def _interface_name(name: str) -> str:
    if name in _RESERVED:
        raise ValueError(f"“{name}” is a name of the system; choose another, such as ipsec0")
    return name


def _inside(text: str) -> str:
    try:
        found: IPv4Interface | IPv6Interface = ip_interface(text.strip())
    except ValueError:
        raise ValueError(f"“{text}” is not an address; write it like 10.255.0.1/30") from None
    if found.is_multicast or found.is_unspecified or found.is_loopback:
        raise ValueError(f"“{text}” cannot be the address of an interface")
    return str(found)


InterfaceName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,14}$"), AfterValidator(_interface_name)]
InsideAddress = Annotated[str, AfterValidator(_inside)]
Word = Annotated[int, Field(ge=1, le=_ALL)]


class Mark(Model):
    """Packets with this firewall mark are the peer's, whatever else has its addresses.

    Packets that come out of the tunnel bear it. A packet matches if its mark and ``mask`` together are ``value``.
    """

    value: Word
    mask: Word = _ALL

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.value & ~self.mask:
            raise ValueError(f"value: {self.value:#x} has bits that the mask {self.mask:#x} leaves out")
        if OWN_MARK & self.mask == self.value:
            raise ValueError(
                f"value: the engine's own packets bear the mark {OWN_MARK:#x}; choose one that they do not"
            )
        return self


class RouteBased(Model):
    """A route-based peer: its tunnel is an xfrm interface, and what is routed there goes to the peer.

    The engine makes the interface with ``if_id``, gives it ``addresses`` with their prefixes, leads ``routes`` to it,
    and removes all of it with the peer. Routes of others, such as those of a routing daemon, may lead there as well.
    Selectors only say what may pass; they are usually 0.0.0.0/0 at both ends. ``mtu`` is in octets.
    """

    interface: InterfaceName
    if_id: Word
    addresses: Annotated[tuple[InsideAddress, ...], Field(max_length=16)] = ()
    routes: Annotated[tuple[Subnet, ...], Field(max_length=1024)] = ()
    mtu: Annotated[int, Field(ge=1280, le=65_535)] = 1400


class KernelPolicy(Model):
    """``offload`` “auto” lets a network card that can do ESP encrypt; without one the kernel does."""

    route_based: RouteBased | None = None
    mark: Mark | None = None
    offload: Literal["off", "auto"] = "off"

    @property
    def apart(self) -> tuple[int, int, int]:
        """Interface id, mark and mask: peers that differ in it may have the same selectors. Zeros are none."""
        mark = self.mark
        return self.if_id, mark.value if mark else 0, mark.mask if mark else 0

    @property
    def if_id(self) -> int:
        """The interface's id, 0 for none."""
        return self.route_based.if_id if self.route_based else 0

    @property
    def is_apart(self) -> bool:
        """True if addresses alone do not lead a packet to this peer."""
        return self.route_based is not None or self.mark is not None


KERNEL_DEFAULT = KernelPolicy()


def check_interfaces(kernels: Iterable[tuple[int, KernelPolicy]]) -> None:
    """Names and ids of interfaces are unique; ``kernels`` are those of peers with their places in the document.

    :raises ValueError: naming the field.
    """
    seen: set[str | int] = set()
    for index, kernel in kernels:
        if kernel.route_based is None:
            continue
        for field in ("interface", "if_id"):
            value = getattr(kernel.route_based, field)
            if value in seen:
                raise ValueError(f"peers.{index}.kernel.route_based.{field}: {value} is used by another peer")
            seen.add(value)
