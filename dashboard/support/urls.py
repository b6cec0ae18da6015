"""Addresses of the support bundle."""

from __future__ import annotations

from django.urls import path

from dashboard.support import views

urlpatterns = [
    path("support/", views.support, name="support"),
    path("support/<uuid:uuid>/bundle/", views.bundle, name="support-bundle"),
]
