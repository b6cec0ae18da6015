"""Addresses of the change log."""

from __future__ import annotations

from django.urls import path

from dashboard.audit import views

urlpatterns = [
    path("changelog/", views.changelog, name="changelog"),
    path("changelog/export.<str:form>", views.export, name="changelog-export"),
]
