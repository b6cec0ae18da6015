"""Addresses of claim, sign-in and password.

Of allauth's pages only those that an appliance without a mail server can keep the promises
of: there is no sign-up, no confirmation and no reset by mail.
"""

from __future__ import annotations

from allauth.account import views as allauth
from django.urls import path

from dashboard.accounts import views

urlpatterns = [
    path("claim/", views.claim, name="claim"),
    path("account/login/", allauth.login, name="account_login"),
    path("account/logout/", allauth.logout, name="account_logout"),
    path("account/password/", allauth.password_change, name="account_change_password"),
]
