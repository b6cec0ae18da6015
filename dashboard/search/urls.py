"""Addresses of the search."""

from __future__ import annotations

from django.urls import path

from dashboard.search import views

urlpatterns = [
    path("search/", views.search, name="search"),
    path("search/results/", views.results, name="search-results"),
    path("search/open/<uuid:site>/<str:kind>/<uuid:target>/", views.open_hit, name="search-open"),
]
