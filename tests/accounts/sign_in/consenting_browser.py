"""Stands in for the operator's browser: opens the address, and consents as the account named second."""

import sys
import urllib.error
import urllib.request
from contextlib import suppress

address, email = sys.argv[1:3]
with (
    suppress(urllib.error.HTTPError),
    urllib.request.urlopen(f"{address}&auto_approve=1&login_hint={email}") as page,
):
    page.read()
