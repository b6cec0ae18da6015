"""Addresses of claim, sign-in and password.

Of allauth's pages only those that an appliance without a mail server can keep the promises
of: there is no sign-up, no confirmation and no reset by mail.
"""

from __future__ import annotations

from allauth.account import views as allauth
from django.urls import path

from dashboard.accounts import views
from dashboard.core.permissions import needs

urlpatterns = [
    path("claim/", views.claim, name="claim"),
    path("account/login/", needs(get="open", post="open")(allauth.login), name="account_login"),
    path("account/logout/", needs(get="open", post="open")(allauth.logout), name="account_logout"),
    path(
        "account/password/",
        needs(get="signed_in", post="signed_in")(allauth.password_change),
        name="account_change_password",
    ),
    path("switch/", views.switch, name="switch"),
]
