"""What a configuration of the other gateway says, before it becomes fields of ours; seen from here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Ike = tuple[str, str, str]
Esp = tuple[str, str | None]
ESP_LIFETIME, IKE_LIFETIME = 3_600, 28_800


@dataclass
class Found:
    """Facts as they were read; ``remote`` is the other gateway, ``local`` this site.

    ``unknown`` and ``assumed`` are sentences: what was not understood, and what was taken for granted.
    """

    name: str = ""
    remote: str = ""
    local: str = ""
    exchange: str = "main"
    ike: list[Ike] = field(default_factory=list)
    ike_lifetime: int | None = None
    esp: list[Esp] = field(default_factory=list)
    pfs: str | None = None
    esp_lifetime: int | None = None
    esp_lifetime_kb: int | None = None
    mode: str = "tunnel"
    remote_subnets: list[str] = field(default_factory=list)
    local_subnets: list[str] = field(default_factory=list)
    remote_identity: tuple[str, str] | None = None
    local_identity: tuple[str, str] | None = None
    secret: str = ""
    authentication: str = "psk"
    start: str = "traffic"
    dpd: tuple[int, int] | None = None
    unknown: list[str] = field(default_factory=list)
    assumed: list[str] = field(default_factory=list)

    def subnet(self, where: str, text: str) -> None:
        """Note a subnet of one end, each once."""
        rows = self.remote_subnets if where == "remote" else self.local_subnets
        if text not in rows:
            rows.append(text)


@dataclass(frozen=True)
class Imported:
    """Fields of a new peer's form, and what is to be looked at before saving.

    ``secret`` is apart from the fields, because it never goes to a page.
    """

    kind: str
    fields: dict[str, Any]
    secret: str
    local_subnets: tuple[str, ...]
    unknown: tuple[str, ...]
    assumed: tuple[str, ...]
    weak: tuple[str, ...]
