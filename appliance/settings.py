"""Django settings of an appliance. What differs between hosts comes from the state directory and the environment."""

from __future__ import annotations

import os
import secrets

import dj_database_url

from appliance.paths import ROOT, state
from dashboard.core.files import create_once

STATE = state()
STATE.make()


# The signing key is made at the first start and readable by us alone.
SECRET_KEY = create_once(STATE.secret_key, lambda: secrets.token_urlsafe(64).encode()).decode()
DEBUG = False
# An appliance is reached by whatever address its owner has given it; there is no list to check against. Nothing is
# built from the Host header: no mail with links, no cache keyed by it, and CSRF compares Origin with Host itself.
ALLOWED_HOSTS = ["*"]

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "appliance",
    "dashboard.accounts",
    "dashboard.fleet",
    "dashboard.audit",
    "dashboard.api",
    "dashboard.sitevpn",
    "dashboard.peerside",
    "dashboard.publish",
    "dashboard.search",
    "dashboard.eventlog",
    "dashboard.insight",
    "dashboard.notify",
    "dashboard.tools",
    "dashboard.web",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "dashboard.core.middleware.SecurityHeaders",
    "dashboard.core.limits.BodyLimit",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "dashboard.accounts.middleware.Permissions",
    "dashboard.publish.middleware.Changes",
]
ROOT_URLCONF = "appliance.urls"
ASGI_APPLICATION = "appliance.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [ROOT / "dashboard" / "web" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "dashboard.accounts.access.context",
                "dashboard.web.context.frame",
            ]
        },
    }
]

DATABASES = {"default": dj_database_url.config(default=f"sqlite:///{STATE.database}", conn_max_age=0)}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["OPTIONS"] = {
        "timeout": 20,
        # A transaction that will write says so at once; otherwise two of them can only fail each other.
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;",
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = os.environ.get("REDIS_URL") or f"unix://{STATE.redis}"
CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}}

CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://", 1)
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 600}
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BEAT_SCHEDULE = {
    "sweep": {"task": "publish.sweep", "schedule": 3.0},
    "observe": {"task": "insight.observe", "schedule": 3.0},
    "roll_up": {"task": "insight.roll_up", "schedule": 30.0},
    "notify": {"task": "notify.sweep", "schedule": 2.0},
}
CELERY_BEAT_SCHEDULE_FILENAME = str(STATE.directory / "beat-schedule")

# CULVERT_HTTPS=1 says that a proxy in front ends TLS and sets X-Forwarded-Proto itself. Without it the header is
# ignored, because any client could send it, and cookies work on plain http://localhost.
BEHIND_TLS = os.environ.get("CULVERT_HTTPS") == "1"

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
AUTH_PASSWORD_VALIDATORS[1]["OPTIONS"] = {"min_length": 10}
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_ADAPTER = "dashboard.accounts.adapter.Adapter"
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_RATE_LIMITS = {"claim": "10/m/ip"}  # besides allauth's own, such as five wrong passwords in five minutes
# Throttling tells clients apart by address; behind a proxy that is the last one in X-Forwarded-For.
ALLAUTH_TRUSTED_PROXY_COUNT = 1 if BEHIND_TLS else 0
# A second factor (TOTP with recovery codes) and passkeys. No mail server confirms addresses here.
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes", "webauthn"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_ALLOW_UNVERIFIED_EMAIL = True
MFA_ADAPTER = "dashboard.accounts.mfa_adapter.MfaAdapter"
MFA_TOTP_ISSUER = "Culvert"
MFA_TOTP_TOLERANCE = 1  # a clock may be half a minute off
ACCOUNT_REAUTHENTICATION_TIMEOUT = 300
USERSESSIONS_TRACK_ACTIVITY = False
ACCOUNT_FORMS = {"login": "dashboard.accounts.forms.SignInForm"}
# An appliance has no mail server; nothing that we use sends mail, and nothing may wait for a server that is not there.
EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = BEHIND_TLS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_TLS else None
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 << 20

STATIC_URL = "/static/"
# The files are served from where they stand: there is no collecting step that an update could forget.
WHITENOISE_USE_FINDERS = True
STATIC_ROOT = ROOT / "dashboard" / "web" / "static"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"

CULVERT_KEYRING = STATE.keyring
CULVERT_APPLIANCE_ID = STATE.appliance_id
CULVERT_CONTROL_SOCKET = STATE.control
CULVERT_ENGINE_GATEWAY = "appliance.engine_gateway.LocalEngineGateway"
CULVERT_EVENT_ROWS = int(os.environ.get("CULVERT_EVENT_ROWS", "10000000"))
# Events older than so many days go too; 0 keeps them as long as there is room for their number.
CULVERT_EVENT_DAYS = int(os.environ.get("CULVERT_EVENT_DAYS", "0"))
# Alerts and syslog may go to services of this very machine only where its owner says so.
CULVERT_NOTIFY_LOOPBACK = os.environ.get("CULVERT_NOTIFY_LOOPBACK") == "1"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    # What a request carried may be a secret; a 4xx is no reason to print it.
    "loggers": {"django.request": {"level": "ERROR"}, "httpx": {"level": "WARNING"}},
}
