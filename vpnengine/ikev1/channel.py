"""Encrypted messages of an ISAKMP SA: CBC with a chained IV (RFC 2409 section 5 and appendix B)."""

from __future__ import annotations

from collections.abc import Sequence

from vpnengine.contract.policies import IkeProposal
from vpnengine.crypto import ike_cipher
from vpnengine.ikev1.keys import Phase1Keys
from vpnengine.ikev1.model import IsakmpSa
from vpnengine.isakmp.constants import HEADER_LENGTH, VERSION_1_0, Exchange, Flag
from vpnengine.isakmp.errors import DecodeError
from vpnengine.isakmp.message import Header, Payloads, build_payloads, parse_payloads
from vpnengine.isakmp.payloads import Payload


def clear(sa: IsakmpSa, exchange: Exchange, payloads: Sequence[Payload], message_id: int = 0) -> bytes:
    """A message in the clear."""
    first, body = build_payloads(payloads)
    header = Header(sa.initiator_cookie, sa.responder_cookie, first, VERSION_1_0, exchange, Flag.NONE, message_id)
    return header.build(body)


def agreed(sa: IsakmpSa) -> tuple[Phase1Keys, IkeProposal]:
    """Keys and proposal of an SA that has them.

    :raises AssertionError: if it has not come that far, which the state tables rule out.
    """
    assert sa.keys is not None and sa.proposal is not None  # noqa: S101
    return sa.keys, sa.proposal


def seal(sa: IsakmpSa, exchange: Exchange, message_id: int, first: int, body: bytes, iv: bytes) -> tuple[bytes, bytes]:
    """Encrypt a chain of payloads. Returns the message and the next IV: its last block."""
    keys, proposal = agreed(sa)
    block = ike_cipher.block_length(proposal.encryption)
    padded = body + bytes(-len(body) % block)
    encrypted = ike_cipher.encrypt(proposal.encryption, keys.cipher, iv, padded)
    sa.octets += len(encrypted)
    flags = Flag.ENCRYPTION
    header = Header(sa.initiator_cookie, sa.responder_cookie, first, VERSION_1_0, exchange, flags, message_id)
    return header.build(encrypted), encrypted[-block:]


def open_(sa: IsakmpSa, header: Header, datagram: bytes, iv: bytes) -> tuple[Payloads, bytes, bytes]:
    """Decrypt a message. Returns its payloads, their octets, and the next IV.

    The caller keeps the next IV only after the message has proven authentic: a forged one
    must not move the chain.

    :raises DecodeError: if it cannot be a message under these keys.
    """
    keys, proposal = agreed(sa)
    block = ike_cipher.block_length(proposal.encryption)
    body = datagram[HEADER_LENGTH:]
    if not body or len(body) % block:
        raise DecodeError(HEADER_LENGTH, "encrypted body", f"{len(body)} octets are no whole cipher blocks")
    plain = ike_cipher.decrypt(proposal.encryption, keys.cipher, iv, body)
    payloads = parse_payloads(header.next_payload, plain)
    return payloads, plain, body[-block:]
