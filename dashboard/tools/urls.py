"""Addresses of ping and traceroute."""

from __future__ import annotations

from django.urls import path

from dashboard.tools import views

urlpatterns = [
    path("tools/", views.tools, name="tools"),
    path("tools/runs/<uuid:uuid>/", views.run, name="tools-run"),
]
