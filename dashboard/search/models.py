"""What can be found: one row for each word that leads to something."""

from __future__ import annotations

from django.db import models


class Entry(models.Model):
    """``key`` leads to something of a site: a name or an address in lower case, or a subnet in its canonical form.

    ``target`` is the uuid of the row that it leads to, empty for the site itself.
    """

    class Kind(models.TextChoices):
        """What a key is, and thereby how it is compared."""

        PEER = "peer"
        ADDRESS = "address"
        SUBNET = "subnet"
        LOCAL = "local"
        USER = "user"

    organization = models.ForeignKey("fleet.Organization", on_delete=models.CASCADE)
    site = models.ForeignKey("fleet.Site", on_delete=models.CASCADE)
    kind = models.CharField(max_length=8, choices=Kind.choices)
    key = models.CharField(max_length=260)
    title = models.CharField(max_length=200)
    target = models.CharField(max_length=36, blank=True)

    class Meta:
        indexes = [models.Index(fields=["organization", "key"], name="search_key")]
