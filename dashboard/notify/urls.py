"""Addresses of alerts and syslog."""

from __future__ import annotations

from django.urls import path

from dashboard.notify import views

urlpatterns = [
    path("alerts/", views.alerts, name="alerts"),
    path("alerts/mail-server/", views.mail_server, name="alert-mail-server"),
    path("alerts/channels/new/", views.channel, name="alert-channel-new"),
    path("alerts/channels/<uuid:uuid>/", views.channel, name="alert-channel"),
    path("alerts/channels/<uuid:uuid>/test/", views.test_channel, name="alert-channel-test"),
    path("alerts/channels/<uuid:uuid>/secret/", views.channel_secret, name="alert-channel-secret"),
    path("alerts/channels/<uuid:uuid>/delete/", views.delete_channel, name="alert-channel-delete"),
    path("alerts/rules/new/", views.rule, name="alert-rule-new"),
    path("alerts/rules/<uuid:uuid>/", views.rule, name="alert-rule"),
    path("alerts/rules/<uuid:uuid>/delete/", views.delete_rule, name="alert-rule-delete"),
    path("alerts/deliveries/<uuid:uuid>/again/", views.again, name="alert-delivery-again"),
    path("alerts/deliveries/<uuid:uuid>/delete/", views.delete_delivery, name="alert-delivery-delete"),
    path("syslog/", views.syslog_servers, name="syslog"),
    path("syslog/new/", views.syslog_server, name="syslog-new"),
    path("syslog/<uuid:uuid>/", views.syslog_server, name="syslog-server"),
    path("syslog/<uuid:uuid>/test/", views.test_syslog, name="syslog-test"),
    path("syslog/<uuid:uuid>/delete/", views.delete_syslog, name="syslog-delete"),
]
