"""Every setting, read once from the environment, with defaults that run.

Looked up in this order: the environment, `.env` in the project root, `.env` in DATA_DIR.
docs/settings.md describes each for the operator.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from django.core.management.utils import get_random_secret_key

from proxy_site.data_dir import prepare_data_dir, read_or_create_key
from proxy_site.environment import Environment

BASE_DIR = Path(__file__).resolve().parent.parent

env = Environment([BASE_DIR / ".env"])
DATA_DIR = prepare_data_dir(env.path("DATA_DIR", "~/.config/antigravity-proxy"))
env.add_file(DATA_DIR / ".env")

# Where we listen, and who may call
HOST = env.text("HOST", "127.0.0.1")
PORT = env.integer("PORT", 8672, between=(1, 65535))
AUTH_TOKEN = env.text("AUTH_TOKEN")
ALLOWED_HOSTS = env.listing("ALLOWED_HOSTS", ("localhost", "127.0.0.1", "[::1]"))
CSRF_TRUSTED_ORIGINS = env.listing("CSRF_TRUSTED_ORIGINS")
REQUEST_BODY_LIMIT_BYTES = env.integer("REQUEST_BODY_LIMIT_MIB", 32, between=(1, 1024)) * 1024 * 1024
SHUTDOWN_GRACE_SECONDS = env.integer("SHUTDOWN_GRACE_SECONDS", 30, between=(0, 3600))

# Secrets
SECRET_KEY = env.text("SECRET_KEY") or read_or_create_key(DATA_DIR / "secret_key", get_random_secret_key)
CREDENTIALS_KEYS = env.listing("CREDENTIALS_KEYS") or [
    read_or_create_key(DATA_DIR / "credentials_keys", lambda: Fernet.generate_key().decode())
]

# Signing in to Google
OAUTH_CLIENT_ID = env.text("OAUTH_CLIENT_ID")
OAUTH_CLIENT_SECRET = env.text("OAUTH_CLIENT_SECRET")
OAUTH_TOKEN_URL = env.url("OAUTH_TOKEN_URL", "https://oauth2.googleapis.com/token")

# Google Cloud Code
CLOUDCODE_ENDPOINTS = env.listing("CLOUDCODE_ENDPOINTS")
GEMINI_HEADER_MODE: Any = env.text("GEMINI_HEADER_MODE", "cli", one_of=("cli", "antigravity"))
CLOUDCODE_USER_AGENT = env.text("CLOUDCODE_USER_AGENT")
CLOUDCODE_CLIENT_VERSION = env.text("CLOUDCODE_CLIENT_VERSION", "2.9.1")
UPSTREAM_CONNECT_TIMEOUT_SECONDS = (
    env.integer("UPSTREAM_CONNECT_TIMEOUT_MS", 10_000, between=(100, 600_000)) / 1000
)
UPSTREAM_FIRST_BYTE_TIMEOUT_SECONDS = (
    env.integer("UPSTREAM_FIRST_BYTE_TIMEOUT_MS", 120_000, between=(100, 3_600_000)) / 1000
)
UPSTREAM_IDLE_TIMEOUT_SECONDS = (
    env.integer("UPSTREAM_IDLE_TIMEOUT_MS", 300_000, between=(100, 3_600_000)) / 1000
)
HTTP_PROXY = env.url("HTTP_PROXY") or env.url("http_proxy")
HTTPS_PROXY = env.url("HTTPS_PROXY") or env.url("https_proxy")
NO_PROXY = env.listing("NO_PROXY") or env.listing("no_proxy")
SSL_CERT_FILE = env.text("SSL_CERT_FILE")

# What happens to a request
FALLBACK = env.boolean("FALLBACK", default=False)
DEFAULT_COOLDOWN_SECONDS = env.integer("DEFAULT_COOLDOWN_MS", 10_000, between=(1000, 600_000)) / 1000
MAX_WAIT_BEFORE_ERROR_SECONDS = (
    env.integer("MAX_WAIT_BEFORE_ERROR_MS", 120_000, between=(0, 3_600_000)) / 1000
)
SYSTEM_PREAMBLE = env.text("SYSTEM_PREAMBLE")
DEFAULT_THINKING_BUDGET = env.integer("DEFAULT_THINKING_BUDGET", 16_000, between=(0, 128_000))
DEFAULT_THINKING_LEVEL = env.text("DEFAULT_THINKING_LEVEL", one_of=("", "minimal", "low", "medium", "high"))
MAX_CONTEXT_TOKENS = env.integer("MAX_CONTEXT_TOKENS", 0, between=(0, 10_000_000))

# Said by `runserver --demo`, which sets it together with the emulator's addresses
DEMO = env.boolean("DEMO", default=False)

# Logging. Django's own DEBUG shows source code and settings to whoever meets an error: always off.
DEBUG = False
DEBUG_LOG = env.boolean("DEBUG", default=False)
LOG_LEVEL = "debug" if DEBUG_LOG else env.text("LOG_LEVEL", "info", one_of=("debug", "info", "warn", "error"))
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"text": {"format": "{asctime} {levelname:<7} {message}", "style": "{"}},
    "handlers": {"terminal": {"class": "logging.StreamHandler", "formatter": "text"}},
    "root": {"handlers": ["terminal"], "level": "WARNING"},
    "loggers": {
        name: {"level": {"warn": "WARNING"}.get(LOG_LEVEL, LOG_LEVEL.upper())}
        for name in ("accounts", "gateway", "dashboard", "proxy_site")
    },
}

# Django
DATABASES = {"default": env.database("DATABASE_URL", f"sqlite:///{DATA_DIR / 'proxy.sqlite3'}")}
DATABASES["default"] |= {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["OPTIONS"] = {
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "proxy_site",
    "dashboard",
    "gateway",
    "accounts",
    "channels",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ASGI_APPLICATION = "proxy_site.asgi.application"
ROOT_URLCONF = "proxy_site.urls"
APPEND_SLASH = True
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
SESSION_COOKIE_HTTPONLY = True
STATIC_URL = "static/"
# Served straight from the packages: nothing to collect before the first start.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
