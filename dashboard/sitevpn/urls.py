"""Addresses of the site-to-site VPN."""

from __future__ import annotations

from django.urls import path

from dashboard.sitevpn import bulk, import_views, policy_views, transfer_views, views, wizard
from dashboard.sitevpn.reveal import reveal

urlpatterns = [
    path("configuration/transfer/", transfer_views.transfer_page, name="configuration-transfer"),
    path("configuration/transfer/export/", transfer_views.export, name="configuration-export"),
    path("configuration/transfer/import/", transfer_views.load, name="configuration-import"),
    path("vpn/", views.sitevpn, name="sitevpn"),
    path("vpn/state/", views.state, name="sitevpn-state"),
    path("vpn/subnets/check/", views.check_subnets, name="subnets-check"),
    path("policies/", policy_views.overview, name="policies"),
    path("policies/new/", policy_views.policy, name="policy-new"),
    path("policies/<uuid:uuid>/", policy_views.policy, name="policy"),
    path("policies/<uuid:uuid>/delete/", policy_views.delete, name="policy-delete"),
    path("vpn/users/", views.users, name="vpn-users"),
    path("vpn/users/<uuid:uuid>/delete/", views.delete_user, name="vpn-user-delete"),
    path("vpn/peers/bulk/", bulk.bulk, name="peers-bulk"),
    path("vpn/peers/import/", import_views.import_peer, name="peer-import"),
    path("vpn/peers/wizard/", wizard.wizard, name="peer-wizard"),
    path("vpn/peers/new/", views.peer, name="peer-new"),
    path("vpn/peers/<uuid:uuid>/", views.peer, name="peer"),
    path("vpn/peers/<uuid:uuid>/secret/", reveal, name="peer-secret"),
    path("vpn/peers/<uuid:uuid>/delete/", views.delete_peer, name="peer-delete"),
]
