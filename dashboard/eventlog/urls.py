"""Addresses of the Event Log."""

from __future__ import annotations

from django.urls import path

from dashboard.eventlog import views

urlpatterns = [
    path("events/", views.events, name="events"),
    path("events/rows/", views.rows, name="event-rows"),
    path("events/choices/", views.choices, name="event-choices"),
    path("events/catalogue/", views.catalogue, name="event-catalogue"),
]
