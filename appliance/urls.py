"""All addresses of the dashboard."""

from __future__ import annotations

from django.urls import include, path

from dashboard.accounts.views import claim
from dashboard.web.views import health

urlpatterns = [
    path("health/", health, name="health"),
    path("claim/", claim, name="claim"),
    path("account/", include("allauth.account.urls")),
    path("", include("dashboard.sitevpn.urls")),
    path("", include("dashboard.eventlog.urls")),
]
