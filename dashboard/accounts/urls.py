"""Addresses of claim, sign-in and password.

Of allauth's pages only those that an appliance without a mail server can keep the promises
of: there is no sign-up, no confirmation and no reset by mail.
"""

from __future__ import annotations

from allauth.account import views as allauth
from allauth.mfa.base import views as mfa
from allauth.mfa.recovery_codes import views as codes
from allauth.mfa.totp import views as totp
from allauth.mfa.webauthn import views as webauthn
from allauth.usersessions.views import list_usersessions
from django.urls import path

from dashboard.accounts import administrator_views, security_views, views
from dashboard.core.permissions import needs

_own = needs(get="signed_in", post="signed_in")
_open = needs(get="open", post="open")

urlpatterns = [
    path("claim/", views.claim, name="claim"),
    path("account/login/", _open(allauth.login), name="account_login"),
    path("account/logout/", _open(allauth.logout), name="account_logout"),
    path("account/password/", _own(allauth.password_change), name="account_change_password"),
    path("administrators/", administrator_views.administrators, name="administrators"),
    path("administrators/<int:pk>/", administrator_views.administrator, name="administrator"),
    path("administrators/<int:pk>/remove/", administrator_views.remove, name="administrator-remove"),
    path("administrators/invitations/<int:pk>/withdraw/", administrator_views.withdraw, name="administrator-withdraw"),
    path("invitation/<str:token>/", administrator_views.invitation, name="invitation"),
    path("account/reauthenticate/", _own(allauth.reauthenticate), name="account_reauthenticate"),
    path("account/sessions/", _own(list_usersessions), name="usersessions_list"),
    path("account/security/", needs(get="signed_in")(mfa.index), name="mfa_index"),
    path("account/security/confirm/", _own(mfa.reauthenticate), name="mfa_reauthenticate"),
    path("account/security/app/add/", _own(totp.activate_totp), name="mfa_activate_totp"),
    path("account/security/app/remove/", _own(totp.deactivate_totp), name="mfa_deactivate_totp"),
    path("account/security/codes/", needs(get="signed_in")(codes.view_recovery_codes), name="mfa_view_recovery_codes"),
    path("account/security/codes/new/", _own(codes.generate_recovery_codes), name="mfa_generate_recovery_codes"),
    path(
        "account/security/codes/download/",
        needs(get="signed_in")(codes.download_recovery_codes),
        name="mfa_download_recovery_codes",
    ),
    path("account/security/passkeys/", security_views.to_security, name="mfa_list_webauthn"),
    path("account/security/passkeys/add/", _own(webauthn.add_webauthn), name="mfa_add_webauthn"),
    path(
        "account/security/passkeys/confirm/", _own(webauthn.reauthenticate_webauthn), name="mfa_reauthenticate_webauthn"
    ),
    path("account/security/passkeys/<int:pk>/remove/", _own(webauthn.remove_webauthn), name="mfa_remove_webauthn"),
    path("account/security/passkeys/<int:pk>/edit/", _own(webauthn.edit_webauthn), name="mfa_edit_webauthn"),
    path("account/login/second/", _open(mfa.authenticate), name="mfa_authenticate"),
    path("account/login/passkey/", _open(webauthn.login_webauthn), name="mfa_login_webauthn"),
    path("signins/", security_views.sign_ins, name="sign-ins"),
    path("switch/", views.switch, name="switch"),
]
