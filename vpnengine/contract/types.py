"""What the parts of an ``EngineConfig`` have in common: the model, subnets and host names."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

_HOST_LABEL = re.compile(r"^(?!-)[A-Za-z0-9_-]{1,63}(?<!-)$")


class Model(BaseModel):
    """Immutable, and closed: an unknown field is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _subnet(text: str) -> str:
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


Subnet = Annotated[str, AfterValidator(_subnet)]
Host = Annotated[str, AfterValidator(host)]
