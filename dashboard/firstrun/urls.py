"""Address of the first run."""

from __future__ import annotations

from django.urls import path

from dashboard.firstrun import views

urlpatterns = [path("setup/", views.setup, name="setup")]
