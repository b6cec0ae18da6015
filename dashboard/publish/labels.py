"""What the fields of a configuration document are called on pages."""

from __future__ import annotations

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

_LABELS = {
    "name": _("Name"),
    "remote": _("Public address"),
    "alternates": _("Further addresses"),
    "local_address": _("Local address"),
    "local_identity": _("Local identity"),
    "local_identity.type": _("Local identity type"),
    "local_identity.value": _("Local identity"),
    "remote_identity": _("Remote identity"),
    "remote_identity.type": _("Remote identity type"),
    "remote_identity.value": _("Remote identity"),
    "authentication": _("Authentication"),
    "psk": _("Pre-shared secret"),
    "certificate": _("Certificate"),
    "private_key": _("Private key"),
    "trusted_cas": _("Trusted CAs"),
    "crl": _("Revocation list"),
    "exchange": _("Phase 1 mode"),
    "xauth.password": _("User's password"),
    "xauth.user": _("User name"),
    "xauth": _("XAUTH"),
    "mode_config": _("Addresses for clients"),
    "local_subnets": _("Local subnets"),
    "remote_subnets": _("Private subnets"),
    "selectors": _("Selectors"),
    "accept_wider": _("Accept wider"),
    "phase1.proposals": _("Phase 1 proposals"),
    "phase1.lifetime_s": _("Phase 1 lifetime (s)"),
    "phase1.lifetime_kb": _("Phase 1 lifetime (kB)"),
    "phase2.proposals": _("Phase 2 proposals"),
    "phase2.lifetime_s": _("Phase 2 lifetime (s)"),
    "phase2.lifetime_kb": _("Phase 2 lifetime (kB)"),
    "phase2.pfs_group": _("PFS group"),
    "phase2.pfs_also": _("PFS groups also accepted"),
    "phase2.mode": _("Tunnel or transport mode"),
    "phase2.esn": _("64-bit sequence numbers (ESN)"),
    "start": _("Start"),
    "dpd.interval_s": _("Dead peer detection: interval (s)"),
    "dpd.timeout_s": _("Dead peer detection: timeout (s)"),
    "retransmit.first_s": _("First retransmission after (s)"),
    "retransmit.factor": _("Retransmission factor"),
    "retransmit.tries": _("Tries"),
    "outer.dont_fragment": _("Don't fragment (DF)"),
    "outer.fragment": _("Fragmentation of packets"),
    "outer.mss": _("TCP segment size (MSS)"),
    "outer.copy_dscp": _("Copy DSCP"),
    "nat_traversal": _("NAT traversal"),
    "fragmentation": _("IKE fragmentation"),
    "fragment_size": _("Fragment size"),
    "initial_contact": _("INITIAL-CONTACT"),
    "legacy": _("Allow legacy algorithms"),
    "replay_window": _("Replay window"),
    "pools.addresses": _("Address pool"),
    "pools.dns": _("Name servers of the pool"),
}


def label(path: str) -> str:
    """What the field at a dotted path is called; a field without a name of its own goes by its path."""
    if path in _LABELS:
        return str(_LABELS[path])
    head, _dot, tail = path.rpartition(".")
    if head:
        return f"{label(head)}: {tail.replace('_', ' ')}"
    return gettext(path.replace("_", " ").capitalize())
