"""What the parts of an ``EngineConfig`` have in common: the model, subnets and host names."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

_Ip = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_HOST_LABEL = re.compile(r"^(?!-)[A-Za-z0-9_-]{1,63}(?<!-)$")


class Model(BaseModel):
    """Immutable, and closed: an unknown field is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def subnet(text: str) -> str:
    """A subnet in its canonical form.

    :raises ValueError: with a sentence, if it is none or has host bits set.
    """
    try:
        return str(ipaddress.ip_network(text.strip(), strict=True))
    except ValueError:
        pass
    try:
        meant = ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        raise ValueError(f"“{text}” is not a subnet; write it like 10.1.0.0/24") from None
    raise ValueError(f"“{text}” has host bits set; the subnet is {meant}")


def host(text: str) -> str:
    """A numeric unicast address, or a host name in lower case.

    :raises ValueError: with a sentence, if it is neither.
    """
    text = text.strip().rstrip(".")
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        pass
    else:
        if address.is_unspecified or address.is_multicast:
            raise ValueError(f"“{text}” cannot be a gateway's address; enter its unicast address")
        return str(address)
    labels = text.split(".")
    if len(text) > 253 or not all(_HOST_LABEL.match(label) for label in labels) or labels[-1].isdigit():
        raise ValueError(f"“{text}” is neither an IP address nor a host name")
    return text.lower()


ANYWHERE = ("0.0.0.0/0", "::/0")


def remote(text: str) -> str:
    """Where a peer is: a host, a subnet, a range like ``192.0.2.10-192.0.2.20``, or ``any``.

    :raises ValueError: with a sentence, if it is none of these.
    """
    text = text.strip()
    if text.casefold() in ("any", "%any"):
        return "any"
    if "/" in text:
        network = ipaddress.ip_network(subnet(text))
        return host(str(network.network_address)) if network.num_addresses == 1 else str(network)
    ends = _range(text)
    if ends is None:
        return host(text)
    if ends[0].version != ends[1].version or int(ends[0]) > int(ends[1]):
        raise ValueError(f"“{text}” is not a range; write the lower address first, like 192.0.2.10-192.0.2.20")
    return f"{ends[0]}-{ends[1]}"


def _range(text: str) -> tuple[_Ip, _Ip] | None:
    first, dash, last = text.partition("-")
    try:
        return (ipaddress.ip_address(first.strip()), ipaddress.ip_address(last.strip())) if dash else None
    except ValueError:
        return None


def remote_networks(text: str) -> tuple[_Network, ...]:
    """The networks that a ``remote`` without a fixed address covers; empty for a host."""
    if text == "any":
        return tuple(ipaddress.ip_network(network) for network in ANYWHERE)
    if "/" in text:
        return (ipaddress.ip_network(text),)
    match _range(text):
        case (ipaddress.IPv4Address() as first, ipaddress.IPv4Address() as last):
            return tuple(ipaddress.summarize_address_range(first, last))
        case (ipaddress.IPv6Address() as first, ipaddress.IPv6Address() as last):
            return tuple(ipaddress.summarize_address_range(first, last))
    return ()


Remote = Annotated[str, AfterValidator(remote)]
Subnet = Annotated[str, AfterValidator(subnet)]
Host = Annotated[str, AfterValidator(host)]
