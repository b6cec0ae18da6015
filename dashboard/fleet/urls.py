"""Addresses of the organization itself."""

from __future__ import annotations

from django.urls import path

from dashboard.fleet import views

urlpatterns = [path("organization/", views.organization, name="organization")]
