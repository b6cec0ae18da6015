"""Addresses of the Event Log and the VPN status."""

from __future__ import annotations

from django.urls import path

from dashboard.eventlog import views

urlpatterns = [
    path("events/", views.events, name="events"),
    path("events/rows/", views.rows, name="event-rows"),
    path("events/choices/", views.choices, name="event-choices"),
    path("events/catalogue/", views.catalogue, name="event-catalogue"),
    path("status/", views.status, name="status"),
    path("status/<str:op>/<uuid:uuid>/", views.action, name="peer-action"),
]
