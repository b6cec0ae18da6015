"""Administrators and the claim of an unclaimed appliance."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models


class User(AbstractUser):
    """An administrator; the e-mail address is the sign-in name."""

    email = models.EmailField("e-mail address", unique=True)


class Claim(models.Model):
    """The one-time code with which the first administrator takes the appliance. Only its hash is kept."""

    code_hash = models.CharField(max_length=64)
    created = models.DateTimeField(auto_now_add=True)
