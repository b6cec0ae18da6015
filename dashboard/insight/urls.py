"""Addresses of what tunnels are doing."""

from __future__ import annotations

from django.urls import path

from dashboard.insight import views

urlpatterns = [
    path("overview/", views.overview, name="overview"),
    path("overview/map/", views.overview_map, name="overview-map"),
    path("status/", views.status, name="status"),
    path("status/rows/", views.rows, name="status-rows"),
    path("status/<str:op>/<uuid:uuid>/", views.action, name="peer-action"),
    path("status/<uuid:uuid>/", views.peer, name="status-peer"),
    path("status/<uuid:uuid>/facts/", views.facts, name="status-facts"),
    path("status/<uuid:uuid>/traffic/", views.traffic, name="status-traffic"),
    path("status/<uuid:uuid>/diagnosis/", views.diagnosis_part, name="status-diagnosis"),
    path("status/<uuid:uuid>/examine/", views.examine, name="status-examine"),
    path("status/<uuid:uuid>/accept/", views.accept, name="status-accept"),
]
