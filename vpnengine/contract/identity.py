"""How the two ends name themselves in phase 1."""

from __future__ import annotations

import ipaddress
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from vpnengine.contract.names import split_dn
from vpnengine.contract.types import Model, host


class IdentityType(StrEnum):
    """Phase 1 identification types (RFC 2407 section 4.6.2.1)."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"
    FQDN = "fqdn"
    USER_FQDN = "user-fqdn"
    KEY_ID = "key-id"
    DN = "dn"


MAX_LENGTH = 255


class Identity(Model):
    """How one end names itself in phase 1; a distinguished name is written like ``C=DE, O=Example, CN=gw``."""

    type: IdentityType
    value: Annotated[str, Field(min_length=1, max_length=2_048)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        versions = {IdentityType.IPV4: ipaddress.IPv4Address, IdentityType.IPV6: ipaddress.IPv6Address}
        if wanted := versions.get(self.type):
            try:
                wanted(self.value)
            except ValueError:
                raise ValueError(f"“{self.value}” is not an {self.type.value} address") from None
        if self.type is IdentityType.USER_FQDN and "@" not in self.value:
            raise ValueError(f"“{self.value}” is not of the form user@example.com")
        if self.type is IdentityType.FQDN:
            host(self.value)
        if self.type is IdentityType.DN:
            split_dn(self.value)
        elif len(self.value) > MAX_LENGTH:
            raise ValueError(f"an identity has at most {MAX_LENGTH} characters")
        return self

    def __str__(self) -> str:
        return self.value
