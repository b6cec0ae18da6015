"""Whom to tell what, what is on its way, and how far it has come."""

from __future__ import annotations

import uuid

from django.db import models


class MailServer(models.Model):
    """The server that takes an organization's mail. The password is a version in the publish app."""

    class Security(models.TextChoices):
        """How the connection is protected."""

        STARTTLS = "starttls", "STARTTLS"
        TLS = "tls", "TLS from the start"
        NONE = "none", "None (weak: the password and the mail travel in clear)"

    organization = models.OneToOneField("fleet.Organization", on_delete=models.CASCADE)
    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    host = models.CharField("server", max_length=253)
    port = models.PositiveIntegerField(default=587)
    security = models.CharField(max_length=8, choices=Security.choices, default=Security.STARTTLS)
    username = models.CharField("user name", max_length=254, blank=True)
    password_version = models.PositiveBigIntegerField(null=True)
    password_fingerprint = models.CharField(max_length=16, blank=True)
    sender = models.EmailField("sender's address")

    def __str__(self) -> str:
        return self.host


class Channel(models.Model):
    """A way to reach somebody. A webhook's address can itself be a secret, so that only its host is here."""

    class Kind(models.TextChoices):
        """By what the alert travels."""

        EMAIL = "email", "E-mail"
        WEBHOOK = "webhook", "Webhook"

    organization = models.ForeignKey("fleet.Organization", on_delete=models.CASCADE)
    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=80)
    kind = models.CharField(max_length=8, choices=Kind.choices)
    enabled = models.BooleanField(default=True)
    recipients = models.JSONField(default=list)
    host = models.CharField(max_length=253, blank=True)
    url_version = models.PositiveBigIntegerField(null=True)
    secret_version = models.PositiveBigIntegerField(null=True)
    secret_fingerprint = models.CharField(max_length=16, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organization", "name"], name="one_channel_name")]

    def __str__(self) -> str:
        return self.name


class Rule(models.Model):
    """What is worth an alert, and by which channels. No peers means all peers."""

    organization = models.ForeignKey("fleet.Organization", on_delete=models.CASCADE)
    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=80)
    enabled = models.BooleanField(default=True)
    triggers = models.JSONField(default=list)
    peers = models.JSONField(default=list)
    channels = models.ManyToManyField(Channel, related_name="rules")
    hold_s = models.PositiveIntegerField(default=60)
    quiet_s = models.PositiveIntegerField(default=300)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organization", "name"], name="one_rule_name")]

    def __str__(self) -> str:
        return self.name


class Delivery(models.Model):
    """One message to one channel: the outbox, and what became of it."""

    class State(models.TextChoices):
        """A dead one was tried in vain until nobody could still be interested."""

        PENDING = "pending", "on its way"
        SENT = "sent", "delivered"
        DEAD = "dead", "given up"

    organization = models.ForeignKey("fleet.Organization", on_delete=models.CASCADE)
    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    channel = models.ForeignKey(Channel, on_delete=models.CASCADE)
    body = models.JSONField()
    created = models.DateTimeField(auto_now_add=True)
    due = models.DateTimeField()
    attempts = models.PositiveIntegerField(default=0)
    state = models.CharField(max_length=8, choices=State.choices, default=State.PENDING)
    reason = models.CharField(max_length=300, blank=True)
    finished = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["state", "due"], name="delivery_due"),
            models.Index(fields=["organization", "-id"], name="delivery_newest"),
        ]

    def __str__(self) -> str:
        return str(self.body["title"])


class Quiet(models.Model):
    """A rule has told of something: until then more of the same is counted and told together."""

    rule = models.ForeignKey(Rule, on_delete=models.CASCADE)
    key = models.CharField(max_length=120)
    until = models.DateTimeField()
    count = models.PositiveIntegerField(default=0)
    last = models.JSONField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["rule", "key"], name="one_quiet")]


class PeerWatch(models.Model):
    """Whether a peer's tunnel was up when it was looked at last; ``told`` are the rules that know it is down."""

    appliance = models.ForeignKey("fleet.Appliance", on_delete=models.CASCADE)
    peer_id = models.CharField(max_length=64)
    up = models.BooleanField()
    since = models.DateTimeField()
    told = models.JSONField(default=list)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["appliance", "peer_id"], name="one_watch")]


class Progress(models.Model):
    """The last event of an organization that was judged."""

    organization = models.OneToOneField("fleet.Organization", on_delete=models.CASCADE)
    seq = models.PositiveBigIntegerField(default=0)


class SyslogTarget(models.Model):
    """A syslog server (RFC 5424) and the last event that it has."""

    class Protocol(models.TextChoices):
        """RFC 5426, 6587 and 5425."""

        UDP = "udp", "UDP (nothing confirms that a line arrives)"
        TCP = "tcp", "TCP"
        TLS = "tls", "TLS"

    organization = models.ForeignKey("fleet.Organization", on_delete=models.CASCADE)
    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=80)
    enabled = models.BooleanField(default=True)
    host = models.CharField("server", max_length=253)
    port = models.PositiveIntegerField(default=6514)
    protocol = models.CharField(max_length=4, choices=Protocol.choices, default=Protocol.TLS)
    ca = models.TextField("certificate authority", blank=True)
    severity = models.CharField("from severity", max_length=8, default="info")
    facility = models.PositiveSmallIntegerField(default=16)
    seq = models.PositiveBigIntegerField(default=0)
    lost = models.PositiveBigIntegerField(default=0)
    reached = models.DateTimeField(null=True)
    problem = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organization", "name"], name="one_syslog_name")]

    def __str__(self) -> str:
        return self.name
