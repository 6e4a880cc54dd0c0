"""The project's settings over a DATA_DIR that is thrown away, untouched by the developer's environment."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

_data_dir = tempfile.mkdtemp(prefix="antigravity-proxy-tests-")
atexit.register(shutil.rmtree, _data_dir, ignore_errors=True)
os.environ["DATA_DIR"] = _data_dir
os.environ["TZ"] = "UTC"
os.environ["OAUTH_CLIENT_ID"] = "test-client-id"
os.environ["OAUTH_CLIENT_SECRET"] = "test-client-secret"
for _name in ("AUTH_TOKEN", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "SSL_CERT_FILE"):
    os.environ.pop(_name, None)

from proxy_site.settings import *  # noqa: E402, F403

DATABASES["default"]["TEST"] = {"NAME": str(Path(_data_dir) / "test.sqlite3")}  # noqa: F405
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# Each test client makes its own middleware, which would look at all files of all apps else.
WHITENOISE_AUTOREFRESH = True
