"""Addresses that belong to no subject."""

from __future__ import annotations

from django.urls import path
from django.views.generic import RedirectView

from dashboard.web import views

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="sitevpn"), name="home"),
    path("health/", views.health, name="health"),
]
