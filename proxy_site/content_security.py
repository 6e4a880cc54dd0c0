"""The Content-Security-Policy header of each page: a strict one, and a wider one for the admin.

Unfold's pages have inline styles, and its Alpine.js evaluates expressions; without `unsafe-inline` and
`unsafe-eval` its account list makes 40 violations in Chromium. The login and set-up pages are Unfold's, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from csp.constants import NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE
from csp.middleware import CSPMiddleware

if TYPE_CHECKING:
    from csp.middleware import PolicyParts
    from django.http import HttpRequest, HttpResponseBase

OWN_PAGES: dict[str, list[str]] = {
    "default-src": [NONE],
    "script-src": [SELF],
    "style-src": [SELF],
    "img-src": [SELF, "data:"],
    "font-src": [SELF],
    "connect-src": [SELF],
    "form-action": [SELF],
    "base-uri": [NONE],
    "frame-ancestors": [NONE],
}
ADMIN = {
    "script-src": [SELF, UNSAFE_EVAL],
    "style-src": [SELF, UNSAFE_INLINE],
    "base-uri": [SELF],
}
"""The directives that differ in the admin."""
ADMIN_PATH = "/admin/"


class ContentSecurityPolicy(CSPMiddleware):
    def get_policy_parts(
        self, request: HttpRequest, response: HttpResponseBase, report_only: bool = False
    ) -> PolicyParts:
        parts = super().get_policy_parts(request, response, report_only)
        if request.path.startswith(ADMIN_PATH):
            replace: dict[str, Any] = dict(ADMIN)
            parts.replace = replace
        return parts
