"""All addresses of the dashboard."""

from __future__ import annotations

from django.urls import include, path

urlpatterns = [
    path("", include("dashboard.web.urls")),
    path("", include("dashboard.accounts.urls")),
    path("", include("dashboard.fleet.urls")),
    path("", include("dashboard.audit.urls")),
    path("", include("dashboard.api.urls")),
    path("", include("dashboard.sitevpn.urls")),
    path("", include("dashboard.peerside.urls")),
    path("", include("dashboard.eventlog.urls")),
    path("", include("dashboard.insight.urls")),
    path("", include("dashboard.publish.urls")),
    path("", include("dashboard.search.urls")),
    path("", include("dashboard.notify.urls")),
    path("", include("dashboard.firstrun.urls")),
    path("", include("dashboard.support.urls")),
    path("", include("dashboard.tools.urls")),
]
