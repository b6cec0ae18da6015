"""Addresses of what tunnels are doing."""

from __future__ import annotations

from django.urls import path

from dashboard.insight import views

urlpatterns = [
    path("status/", views.status, name="status"),
    path("status/rows/", views.rows, name="status-rows"),
    path("status/<str:op>/<uuid:uuid>/", views.action, name="peer-action"),
    path("status/<uuid:uuid>/", views.peer, name="status-peer"),
    path("status/<uuid:uuid>/facts/", views.facts, name="status-facts"),
    path("status/<uuid:uuid>/diagnosis/", views.diagnosis_part, name="status-diagnosis"),
    path("status/<uuid:uuid>/accept/", views.accept, name="status-accept"),
]
