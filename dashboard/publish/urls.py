"""Addresses of the configuration's history."""

from __future__ import annotations

from django.urls import path

from dashboard.publish import views

urlpatterns = [
    path("configuration/", views.history_page, name="configuration"),
    path("configuration/pending/", views.pending, name="configuration-pending"),
    path("configuration/compare/", views.compare, name="configuration-compare"),
    path("configuration/<int:number>/", views.revision_page, name="configuration-revision"),
    path("configuration/<int:number>/restore/", views.restore, name="configuration-restore"),
    path("configuration/<int:number>/confirm/", views.confirm, name="configuration-confirm"),
    path("configuration/<int:number>/take-back/", views.take_back, name="configuration-take-back"),
]
