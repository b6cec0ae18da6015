"""Addresses that belong to no subject."""

from __future__ import annotations

from django.urls import path

from dashboard.web import views

urlpatterns = [
    path("", views.home, name="home"),
    path("health/", views.health, name="health"),
]
