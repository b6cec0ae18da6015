"""Rules for the headers around and inside of a peer's ESP packets."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from vpnengine.contract.types import Model

MIN_MSS, MAX_MSS = 88, 65_495
SegmentSize = Annotated[int, Field(ge=MIN_MSS, le=MAX_MSS)]


class OuterPolicy(Model):
    """What a peer's packets look like outside, and what becomes of those that are too large (RFC 4301 section 8).

    ``dont_fragment`` says whether ESP packets have DF: “copy” as the inner packet has it, IPv6 counting as having it;
    “set”, “clear”. ``fragment`` says where IPv4 packets without DF are fragmented: “before” ESP, or “after” it as ESP
    packets, which the peer has to put together. ``mss`` lowers the TCP segment size that both ends announce: “auto” to
    what fits the path, a number of octets, or “off”. ``copy_dscp`` shows outside which class a packet is of.

    The Python data path keeps to none of these; its kernel fragments ESP packets. The kernel's IPsec copies or clears
    DF, fragments ESP packets, and heeds ``copy_dscp``; there, nftables lowers segment sizes if the host has it.
    """

    dont_fragment: Literal["copy", "set", "clear"] = "copy"
    fragment: Literal["before", "after"] = "before"
    mss: SegmentSize | Literal["auto", "off"] = "auto"
    copy_dscp: bool = False


OUTER_DEFAULT = OuterPolicy()
