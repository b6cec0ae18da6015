"""Administrators and the claim of an unclaimed appliance."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils.crypto import salted_hmac


class User(AbstractUser):
    """An administrator; the e-mail address is the sign-in name."""

    email = models.EmailField("e-mail address", unique=True)
    session_epoch = models.PositiveIntegerField(default=0)

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        """Sessions are bound to the password, as Django has it, and to the epoch: a new one ends all of them."""
        if not self.session_epoch:
            return str(super()._get_session_auth_hash(secret=secret))
        bound = f"{self.session_epoch}:{self.password}"
        return salted_hmac("culvert.session", bound, secret=secret, algorithm="sha256").hexdigest()


class Claim(models.Model):
    """The one-time code with which the first administrator takes the appliance. Only its hash is kept."""

    code_hash = models.CharField(max_length=64)
    created = models.DateTimeField(auto_now_add=True)


class Invitation(models.Model):
    """A one-time link that makes somebody an administrator of an organization. Only the token's hash is kept."""

    organization = models.ForeignKey("fleet.Organization", on_delete=models.CASCADE, related_name="invitations")
    email = models.EmailField()
    token_hash = models.CharField(max_length=64, unique=True)
    role = models.CharField(max_length=10)
    sites = models.JSONField(default=dict, help_text="site id to role")
    invited_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL)
    created = models.DateTimeField(auto_now_add=True)
    expires = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organization", "email"], name="one_invitation")]


class SignIn(models.Model):
    """One try to sign in. What was typed is kept only where it is an address."""

    user = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="sign_ins")
    email = models.CharField(max_length=150, blank=True)
    time = models.DateTimeField(auto_now_add=True, db_index=True)
    address = models.GenericIPAddressField(null=True)
    user_agent = models.CharField(max_length=200, blank=True)
    method = models.CharField(max_length=40)
    success = models.BooleanField()
