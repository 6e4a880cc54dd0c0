"""All settings, read once from the environment, with defaults that work.

The order of sources: the environment, `.env` in the project root, `.env` in DATA_DIR. docs/settings.md
describes each setting for the operator.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from django.core.management.utils import get_random_secret_key
from django.templatetags.static import static

from proxy_site.content_security import OWN_PAGES
from proxy_site.data_dir import make_private, prepare_data_dir, read_or_create_key
from proxy_site.environment import Environment, LiveSettings, SettingError
from proxy_site.version import version

BASE_DIR = Path(__file__).resolve().parent.parent
VERSION = version()

env = Environment([BASE_DIR / ".env"])
DATA_DIR = prepare_data_dir(env.path("DATA_DIR", "~/.config/antigravity-proxy"))
env.add_file(DATA_DIR / ".env")
# Settings declared on `live` can be changed while the server runs (accounts/live_settings.py).
live = LiveSettings(env)

# Address, access and limits of requests
HOST = env.text("HOST", "127.0.0.1")
PORT = env.integer("PORT", 8672, between=(1, 65535))
AUTH_TOKEN = env.text("AUTH_TOKEN")
ALLOWED_HOSTS = env.hosts("ALLOWED_HOSTS", ("localhost", "127.0.0.1", "[::1]"))
CSRF_TRUSTED_ORIGINS = env.listing("CSRF_TRUSTED_ORIGINS")
TRUSTED_PROXIES = env.networks("TRUSTED_PROXIES")
IS_BEHIND_TLS = bool(TRUSTED_PROXIES) and any(one.startswith("https://") for one in CSRF_TRUSTED_ORIGINS)
REQUEST_BODY_LIMIT_BYTES = env.integer("REQUEST_BODY_LIMIT_MIB", 32, between=(1, 1024)) * 1024 * 1024
BODIES_IN_FLIGHT_BYTES = env.integer("BODIES_IN_FLIGHT_MIB", 256, between=(1, 65_536)) * 1024 * 1024
HEADER_TIMEOUT_SECONDS = env.integer("HEADER_TIMEOUT_SECONDS", 60, between=(1, 3600))
BODY_TIMEOUT_SECONDS = env.integer("BODY_TIMEOUT_SECONDS", 300, between=(1, 86_400))
SHUTDOWN_GRACE_SECONDS = env.integer("SHUTDOWN_GRACE_SECONDS", 30, between=(0, 3600))

# Secrets
SECRET_KEY = env.text("SECRET_KEY") or read_or_create_key(DATA_DIR / "secret_key", get_random_secret_key)
if not SECRET_KEY:
    raise SettingError(
        f"{DATA_DIR / 'secret_key'} is empty. Remove it: a new one is made, and operators log in once more."
    )
# When it is empty the keys are in the file, which `rotatekeys` may change while the server runs.
CREDENTIALS_KEYS = env.keys("CREDENTIALS_KEYS", Fernet, "Fernet keys, separated by commas")
CREDENTIALS_KEYS_FILE = DATA_DIR / "credentials_keys"
if not CREDENTIALS_KEYS:
    read_or_create_key(CREDENTIALS_KEYS_FILE, lambda: Fernet.generate_key().decode())
WEBUI_PASSWORD = env.text("WEBUI_PASSWORD")

# Signing in to Google
OAUTH_CLIENT_ID = env.text("OAUTH_CLIENT_ID")
OAUTH_CLIENT_SECRET = env.text("OAUTH_CLIENT_SECRET")
OAUTH_CALLBACK_PORT = env.integer("OAUTH_CALLBACK_PORT", 51121, between=(1024, 65530))
OAUTH_SCOPES = env.listing(
    "OAUTH_SCOPES",
    tuple(
        f"https://www.googleapis.com/auth/{scope}"
        for scope in ("cloud-platform", "userinfo.email", "userinfo.profile")
    ),
)
OAUTH_AUTH_URL = env.url("OAUTH_AUTH_URL", "https://accounts.google.com/o/oauth2/v2/auth")
OAUTH_USERINFO_URL = env.url("OAUTH_USERINFO_URL", "https://www.googleapis.com/oauth2/v1/userinfo")
OAUTH_TOKEN_URL = env.url("OAUTH_TOKEN_URL", "https://oauth2.googleapis.com/token")

# Google Cloud Code
CLOUDCODE_ENDPOINTS = env.urls("CLOUDCODE_ENDPOINTS")
live.text(
    "GEMINI_HEADER_MODE",
    "cli",
    one_of=("cli", "antigravity"),
    meaning="How requests for Gemini models are sent; each way has a quota of its own.",
)
CLOUDCODE_USER_AGENT = env.header("CLOUDCODE_USER_AGENT")
CLOUDCODE_CLIENT_VERSION = env.header("CLOUDCODE_CLIENT_VERSION", "2.9.1")

# Providers of keys
GEMINI_API_URL = env.safe_url("GEMINI_API_URL", "https://generativelanguage.googleapis.com")
ANTHROPIC_API_URL = env.safe_url("ANTHROPIC_API_URL", "https://api.anthropic.com")
live.text(
    "GEMINI_SAFETY_THRESHOLD",
    one_of=("", "OFF", "BLOCK_NONE", "BLOCK_ONLY_HIGH", "BLOCK_MEDIUM_AND_ABOVE", "BLOCK_LOW_AND_ABOVE"),
    meaning="What the Gemini API blocks as harmful: most with BLOCK_LOW_AND_ABOVE, nothing with OFF. Empty "
    "keeps Google's default; its terms allow less strict filters only if your use needs them.",
)

# Connections to all of them
UPSTREAM_CONNECT_TIMEOUT_SECONDS = env.timeout("UPSTREAM_CONNECT_TIMEOUT_MS", 10_000, most=600_000)
UPSTREAM_FIRST_BYTE_TIMEOUT_SECONDS = env.timeout("UPSTREAM_FIRST_BYTE_TIMEOUT_MS", 120_000, most=3_600_000)
UPSTREAM_IDLE_TIMEOUT_SECONDS = env.timeout("UPSTREAM_IDLE_TIMEOUT_MS", 300_000, most=3_600_000)
UPSTREAM_HTTP_CLIENT = env.text("UPSTREAM_HTTP_CLIENT", "gateway", one_of=("gateway", "aiohttp"))
UPSTREAM_CALL_LIMIT = env.integer("UPSTREAM_CALL_LIMIT", 8, between=(1, 100))
WEB_SEARCH_REDIRECT_URL = env.url(
    "WEB_SEARCH_REDIRECT_URL", "https://vertexaisearch.cloud.google.com/grounding-api-redirect/"
)
HTTP_PROXY = env.url("HTTP_PROXY") or env.url("http_proxy")
HTTPS_PROXY = env.url("HTTPS_PROXY") or env.url("https_proxy")
NO_PROXY = env.listing("NO_PROXY") or env.listing("no_proxy")
SSL_CERT_FILE = env.certificates("SSL_CERT_FILE")

# Treatment of requests, all of it live settings
live.boolean(
    "FALLBACK", default=False, meaning="A fallback model answers when all accounts are at their limit."
)
live.text(
    "ACCOUNT_STRATEGY",
    "hybrid",
    one_of=("hybrid", "sticky", "round-robin"),
    meaning="How the account for a new conversation is chosen.",
)
live.boolean(
    "PAID_ACCOUNTS_LAST",
    default=True,
    meaning="Accounts that cost money serve only while none of the same priority that costs nothing can.",
)
live.integer(
    "MAX_CONCURRENT_REQUESTS",
    5,
    between=(0, 10_000),
    meaning="Concurrent requests of one account; more wait in a queue. 0 is no limit.",
)
live.integer(
    "MAX_RETRIES",
    5,
    between=(1, 20),
    meaning="Rounds of one request after transient failures: connection, 5xx, silence, empty answers.",
)
live.boolean(
    "INFINITE_RETRY_MODE",
    default=False,
    meaning="Wait for an account as long as the client does, instead of answering 429.",
)
live.integer(
    "DEFAULT_COOLDOWN_MS",
    10_000,
    between=(1000, 600_000),
    meaning="How long an account cools down when Google refuses without saying for how long, in ms.",
)
live.integer(
    "MAX_WAIT_BEFORE_ERROR_MS",
    120_000,
    between=(0, 3_600_000),
    meaning="The longest time to the first piece of an answer, in ms; 0 never waits for an account.",
)
live.fraction(
    "GLOBAL_QUOTA_THRESHOLD",
    0.0,
    meaning="Spare an account from this remaining fraction down, while another has more. 0 is off.",
)
live.text(
    "SAFEGUARDS_MODEL",
    meaning="The model that judges tool calls for clients in auto mode, such as gemini-3-flash: one small "
    "request more for each reply with calls. Empty: no check, and auto mode runs nothing that needs one.",
)
live.text("SYSTEM_PREAMBLE", meaning="Text put before every system prompt.")
live.integer(
    "DEFAULT_THINKING_BUDGET",
    16_000,
    between=(0, 128_000),
    meaning="Thinking tokens when a request asks for thinking without saying how much.",
)
live.text(
    "DEFAULT_THINKING_LEVEL",
    one_of=("", "minimal", "low", "medium", "high"),
    meaning="Thinking level of Gemini 3 models; empty leaves it to the request.",
)
live.integer(
    "MAX_CONTEXT_TOKENS",
    0,
    between=(0, 10_000_000),
    meaning="Of a longer history only the newest turns are sent, about so many tokens; old ones are left "
    "out, and nothing is refused; 0 is off.",
)
live.integer(
    "LEDGER_RETENTION_DAYS",
    30,
    between=(0, 3650),
    meaning="How long the ledger keeps each request, in days; sums are kept longer. 0 records nothing.",
)
LIVE_SETTINGS = live.by_name

# Set by `runserver --demo`, together with the emulator's addresses
DEMO = env.boolean("DEMO", default=False)

# Set in the image, see proxy_site/container/user.py
IN_CONTAINER = env.boolean("IN_CONTAINER", default=False)

# Logging. Django's DEBUG would show source code and settings on error pages, so it is always off.
DEBUG = False
DEBUG_LOG = env.boolean("DEBUG", default=False, foreign_is_false=True)
LOG_LEVEL = "debug" if DEBUG_LOG else env.text("LOG_LEVEL", "info", one_of=("debug", "info", "warn", "error"))
LOG_FORMAT = env.text("LOG_FORMAT", "text", one_of=("text", "json"))
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "request_id": {"()": "gateway.telemetry.log_format.RequestIdFilter"},
        "below_warning": {"()": "gateway.telemetry.log_format.BelowWarning"},
        "noise": {"()": "gateway.telemetry.noise.NoiseFilter"},
    },
    "formatters": {
        stream: {"()": "gateway.telemetry.log_format.formatter", "log_format": LOG_FORMAT, "stream": stream}
        for stream in ("stdout", "stderr")
    },
    "handlers": {
        "stdout": {
            "class": "gateway.telemetry.request_lines.StandardOutput",
            "formatter": "stdout",
            "filters": ["request_id", "below_warning", "noise"],
        },
        "stderr": {
            "class": "gateway.telemetry.request_lines.StandardError",
            "formatter": "stderr",
            "filters": ["request_id", "noise"],
            "level": "WARNING",
        },
    },
    "root": {"handlers": ["stdout", "stderr"], "level": "WARNING"},
    "loggers": {
        name: {"level": {"warn": "WARNING"}.get(LOG_LEVEL, LOG_LEVEL.upper())}
        for name in ("accounts", "gateway", "dashboard", "proxy_site")
    }
    # axes logs each wrong password; gateway/api/operator_access.py logs one line a minute.
    | {"axes": {"level": "CRITICAL"}},
}

SETTING_WARNINGS = env.warnings

# For times shown to people; stored times are UTC
LOCAL_TIME_ZONE = env.time_zone("TZ")

# Django
DATABASES = {"default": env.database("DATABASE_URL", f"sqlite:///{DATA_DIR / 'proxy.sqlite3'}")}
DATABASES["default"] |= {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    make_private(DATABASES["default"]["NAME"])  # SQLite creates its journal files with the same mode
    DATABASES["default"]["OPTIONS"] = {
        # NORMAL loses nothing when the process dies; the journal shrinks again after a large transaction. A
        # larger cache than 4 MB for each connection makes no query faster (docs/performance.md).
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-4000;"
        "PRAGMA wal_autocheckpoint=4000; PRAGMA journal_size_limit=67108864;",
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
    }
else:
    # Timeouts for a database that does not answer, under libpq's names; DATABASE_URL may override them.
    patience = {"connect_timeout": 10, "tcp_user_timeout": 20_000, "keepalives_idle": 30}
    DATABASES["default"]["OPTIONS"] = {**patience, **DATABASES["default"].get("OPTIONS", {})}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.auth",  # before accounts, which unregisters its admin pages
    "proxy_site",
    "dashboard",
    "gateway",
    "accounts",
    "axes",
    "channels",
    "django_htmx",
    "unfold.apps.BasicAppConfig",
    "accounts.apps.OperatorAdminConfig",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "proxy_site.content_security.ContentSecurityPolicy",
    "proxy_site.static_files.StaticFiles",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "accounts.admin.time_zone.in_readers_zone",
    "axes.middleware.AxesMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "proxy_site.waiting_for_servers.FollowedChanges",
]
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
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
# With Django's default of 300 entries, many addresses could evict each other's counts of wrong passwords.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    }
}
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
# Five wrong passwords from one network block logins from it for a quarter of an hour; further attempts do not
# extend that. The counts are in the cache, so that mistyped passwords are never stored. The Messages API is
# not affected.
AXES_HANDLER = "axes.handlers.cache.AxesCacheHandler"
AXES_LOCKOUT_PARAMETERS = ["ip_address"]
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_CLIENT_IP_CALLABLE = "accounts.operators.passwords.guesser"
AXES_RESET_ON_SUCCESS = True
AXES_LOCKOUT_TEMPLATE = "accounts/locked_out.html"
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False
AXES_ALLOWED_CORS_ORIGINS = ""
SILENCED_SYSTEM_CHECKS = [
    "axes.W001",  # it wants a cache that several processes share
    # HSTS for subdomains and browsers' preload lists are for the owner of the domain to decide.
    "security.W005",
    "security.W021",
]
# In memory only, because files of accounts hold refresh tokens: an upload of more than
# FILE_UPLOAD_MAX_MEMORY_SIZE is dropped instead of written to a temporary file.
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]
# Browsers send cookies to every port of a host, so the names must differ from other programs' there.
SESSION_COOKIE_NAME = "gateway_session"
CSRF_COOKIE_NAME = "gateway_csrf"
CSRF_FAILURE_VIEW = "dashboard.views.errors.csrf_failed"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = IS_BEHIND_TLS
SECURE_HSTS_SECONDS = 30 * 24 * 3600 if IS_BEHIND_TLS else 0
CONTENT_SECURITY_POLICY = {"DIRECTIVES": OWN_PAGES}
STATIC_URL = f"static/{VERSION}/"
UNFOLD = {
    "SITE_TITLE": "Antigravity Claude Proxy" + (" · DEMO" if DEMO else ""),
    "SITE_HEADER": "Claude Proxy" + (" · DEMO" if DEMO else ""),
    "SITE_SUBHEADER": f"version {VERSION}",
    "SITE_SYMBOL": "hub",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("dashboard/icon.svg")}
    ],
    "SITE_URL": "/",
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_BACK_BUTTON": True,
    "ENVIRONMENT": "accounts.admin.site.environment",
    "STYLES": [lambda request: static("accounts/admin.css")],
    "SCRIPTS": [lambda request: static("accounts/time_zone.js")],
    "SIDEBAR": {"navigation": "accounts.admin.site.navigation"},
}
# Static files are served from the packages, so that collectstatic is not needed.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False
# A released version's files never change, and their address has the version.
WHITENOISE_MAX_AGE = 0 if ".dev" in VERSION else 365 * 24 * 3600
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
