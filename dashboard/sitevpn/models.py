"""Site-to-site VPN as an administrator enters it."""

from __future__ import annotations

import uuid

from django.db import models


class LocalSubnet(models.Model):
    """A subnet of a site; only those with ``in_vpn`` take part in tunnels."""

    site = models.ForeignKey("fleet.Site", on_delete=models.CASCADE, related_name="subnets")
    subnet = models.CharField(max_length=49)
    name = models.CharField(max_length=80, blank=True)
    in_vpn = models.BooleanField("in the VPN", default=True)


class SiteVpn(models.Model):
    """What a site's VPN needs to know of the site itself."""

    site = models.OneToOneField("fleet.Site", on_delete=models.CASCADE, related_name="vpn")
    public_address = models.CharField(max_length=253, blank=True)


class PresetVersion(models.Model):
    """One version of a preset as it was shipped; never changed, so that a peer keeps what it was saved with."""

    key = models.CharField(max_length=20)
    version = models.PositiveIntegerField()
    title = models.CharField(max_length=80)
    note = models.TextField(blank=True)
    policy = models.JSONField(help_text="phase1 and phase2 of an EngineConfig")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["key", "version"], name="one_preset_version")]


class Policy(models.Model):
    """A policy of an organization, for any number of peers; each holds a copy of what is inside (``Peer.policy``)."""

    organization = models.ForeignKey("fleet.Organization", on_delete=models.CASCADE, related_name="policies")
    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=80)
    policy = models.JSONField(help_text="phase1, phase2, legacy and replay_window of a PeerConfig")
    edit = models.PositiveIntegerField(default=1)

    class Meta:
        constraints = [
            models.UniqueConstraint(models.functions.Lower("name"), "organization", name="one_policy_name"),
        ]


class Peer(models.Model):
    """A third-party peer. Its secrets are versions in the publish app, never columns here."""

    class Start(models.TextChoices):
        """When the tunnel is negotiated."""

        TRAFFIC = "traffic", "When traffic needs it"
        IMMEDIATE = "immediate", "At once, and kept up"
        RESPONDER = "responder", "Only when the peer begins"

    class Exchange(models.TextChoices):
        """How phase 1 is negotiated."""

        MAIN = "main", "Main mode"
        AGGRESSIVE = "aggressive", "Aggressive mode (weak)"

    class IdentityType(models.TextChoices):
        """How an end names itself."""

        DEFAULT = "", "Default"
        IPV4 = "ipv4", "IPv4 address"
        IPV6 = "ipv6", "IPv6 address"
        FQDN = "fqdn", "Host name (FQDN)"
        USER_FQDN = "user-fqdn", "E-mail form (user FQDN)"
        KEY_ID = "key-id", "Key ID"
        DN = "dn", "Certificate's subject (DN)"

    class Authentication(models.TextChoices):
        """How the two ends prove themselves."""

        PSK = "psk", "Pre-shared secret"
        RSA = "rsa", "Certificates (RSA)"
        ECDSA = "ecdsa", "Certificates (ECDSA)"
        HYBRID = "hybrid", "Hybrid: one certificate, one user"

    site = models.ForeignKey("fleet.Site", on_delete=models.CASCADE, related_name="peers")
    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=80)
    enabled = models.BooleanField(default=True)
    remote = models.CharField("public address", max_length=253)
    remote_subnets = models.JSONField("private subnets", default=list)
    local_identity_type = models.CharField(max_length=10, choices=IdentityType.choices, blank=True)
    local_identity = models.CharField(max_length=255, blank=True)
    remote_identity_type = models.CharField(max_length=10, choices=IdentityType.choices, blank=True)
    remote_identity = models.CharField(max_length=255, blank=True)
    exchange = models.CharField("phase 1 mode", max_length=10, choices=Exchange.choices, default=Exchange.MAIN)
    preset = models.CharField(max_length=20, default="strong")
    preset_version = models.PositiveIntegerField(null=True, help_text="none: the newest, when the peer is saved")
    stored_policy = models.ForeignKey(Policy, on_delete=models.PROTECT, null=True, related_name="peers")
    policy = models.JSONField(
        default=dict, help_text="phase1 and phase2 of an EngineConfig, if the preset is custom or stored"
    )
    options = models.JSONField(default=dict, help_text="further fields of a PeerConfig, where they are not the default")
    start = models.CharField(max_length=10, choices=Start.choices, default=Start.TRAFFIC)
    tags_text = models.CharField(max_length=600, blank=True, help_text="each tag with a space before and after it")
    authentication = models.CharField(max_length=8, choices=Authentication.choices, default=Authentication.PSK)
    certificates = models.JSONField(default=dict, help_text="certificate, trusted_cas and crl of a PeerConfig")
    remote_access = models.JSONField(default=dict, help_text="xauth, mode_config, the pool and the split subnets")
    secret_version = models.PositiveBigIntegerField(null=True)
    secret_fingerprint = models.CharField(max_length=16, blank=True)
    key_version = models.PositiveBigIntegerField(null=True)
    key_fingerprint = models.CharField(max_length=16, blank=True)
    password_version = models.PositiveBigIntegerField(null=True)
    password_fingerprint = models.CharField(max_length=16, blank=True)
    edit = models.PositiveIntegerField(default=1)

    class Meta:
        constraints = [
            models.UniqueConstraint(models.functions.Lower("name"), "site", name="one_peer_name"),
        ]

    @property
    def tags(self) -> list[str]:
        """Words that an administrator has put on this peer."""
        return self.tags_text.split()

    @tags.setter
    def tags(self, tags: list[str]) -> None:
        self.tags_text = "".join(f" {tag} " for tag in tags)

    @property
    def xauth_role(self) -> str:
        """``client``, ``server`` or empty."""
        return str(self.remote_access.get("xauth", {}).get("role", ""))

    @property
    def config_role(self) -> str:
        """Likewise, for assigned addresses."""
        return str(self.remote_access.get("mode_config", {}).get("role", ""))

    @property
    def behind(self) -> str:
        """What the tunnel leads to, in a few words."""
        if self.config_role == "server":
            return f"clients, from {self.remote_access['pool']['addresses']}"
        selectors = self.options.get("selectors", [])
        if selectors:
            first = ", ".join(dict.fromkeys(row["remote"] for row in selectors[:4]))
            return first + (", …" if len(selectors) > 4 else "") + " (selectors)"
        return ", ".join(self.remote_subnets)

    @property
    def signs(self) -> bool:
        """True if this side proves itself with its certificate."""
        if self.authentication == self.Authentication.HYBRID:
            return self.xauth_role == "server"
        return self.authentication != self.Authentication.PSK

    @property
    def peer_signs(self) -> bool:
        """True if the peer does."""
        if self.authentication == self.Authentication.HYBRID:
            return self.xauth_role != "server"
        return self.authentication != self.Authentication.PSK


class VpnUser(models.Model):
    """A user who may log in by XAUTH. The password is a version in the publish app."""

    site = models.ForeignKey("fleet.Site", on_delete=models.CASCADE, related_name="vpn_users")
    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=128)
    password_version = models.PositiveBigIntegerField()
    password_fingerprint = models.CharField(max_length=16)

    class Meta:
        constraints = [models.UniqueConstraint("name", "site", name="one_user_name")]
