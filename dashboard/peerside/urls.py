"""Addresses of the other side's configuration."""

from __future__ import annotations

from django.urls import path

from dashboard.peerside import views

urlpatterns = [
    path("vpn/peers/<uuid:uuid>/other-side/", views.other_side, name="other-side"),
    path("vpn/peers/<uuid:uuid>/other-side/<slug:key>/", views.download, name="other-side-file"),
]
