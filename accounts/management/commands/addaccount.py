from __future__ import annotations

import select
import sys
import threading
import time
import webbrowser
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from accounts.adding.keys import NotAdded, add
from accounts.google.oauth import ClientSecretWrong, TokenEndpointDown
from accounts.google.sign_in import require_client_id
from accounts.inspection import verify
from accounts.kinds.registry import KEYED
from accounts.management.key_input import add_key_arguments, choose_kind, given_key
from accounts.management.operator_command import OperatorCommand
from accounts.models import Account, SignIn
from accounts.operators.audit import ADDITION, record_command
from accounts.sign_in import attempts
from accounts.sign_in.callback_server import CallbackListener, NoPortFree
from accounts.sign_in.pasted_address import AnswerUnusable
from accounts.status.required_action import required_action
from accounts.values.emails import parse_email

POLL_SECONDS = 0.2
PASTE_SECONDS = 0.2
"""A line that follows within this time belongs to the same paste."""
LONGEST_PASTE = 16 * 1024
REFUSED_AT_GOOGLE = "If Google shows an error instead, docs/google-oauth.md says what to do about each."


class Command(OperatorCommand):
    examples = (
        "",
        "--kind gemini",
        "--kind anthropic --key-file key.txt",
        "--kind compatible --url http://127.0.0.1:11434",
        "--kind google --no-browser",
    )
    help = (
        "Adds an account: a key of the Gemini API or of Anthropic, a server that speaks Anthropic's format, "
        "or a Google account. A key is checked at its provider, which costs nothing, and is never an "
        "argument. For a Google account it opens the sign-in page in the browser and waits for you to come "
        "back; signing in again as an account that is known renews it. On a machine without a browser use "
        "--no-browser: sign in anywhere, and paste the address the browser ends at. The server may be "
        "running; it uses the account within a second."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        add_key_arguments(parser)
        parser.add_argument("--no-browser", action="store_true", help="paste the address instead")
        parser.add_argument("--email", default="", help="the account to sign in as; Google offers it first")
        self.add_terms_argument(parser)

    def act(self, *, kind: str | None, **options: Any) -> None:
        chosen = kind or self._kind(options)
        if chosen in KEYED:
            self._add_key(chosen, options)
        else:
            self._sign_in(options["no_browser"], options["email"], options["accept_terms"])

    def _kind(self, options: dict[str, Any]) -> str:
        """Return the kind that the options imply, else ask; in a script it is a Google account."""
        if options["url"]:
            return "compatible"
        if not self.is_interactive or any(options[name] for name in ("no_browser", "email", "accept_terms")):
            return "google"
        return choose_kind(self)

    # A key

    def _add_key(self, kind: str, options: dict[str, Any]) -> None:
        replaced = self.accounts([options["replace"]])[0] if options["replace"] else None
        try:
            added = add(given_key(self, kind, options), replaced=replaced, unchecked=options["unchecked"])
        except NotAdded as error:
            raise CommandError(f"Not added: {error}") from error
        record_command("Replaced the key" if replaced else "Added", added.account, ADDITION)
        for remark in added.remarks:
            self.info(remark)
        account, count = added.account, added.models
        facts = {"name": account.name, "kind": kind, "tier": account.tier, "models": count}
        found = "not checked" if count is None else f"works, {count} models"
        self.report([facts], f"{account} ({account.tier}): {found}")

    # A Google account

    def _sign_in(self, no_browser: bool, email: str, accept_terms: bool) -> None:
        login_hint = parse_email(email) or ""
        if email and not login_hint:
            raise CommandError(f"--email: {email!r} is not an e-mail address.")
        try:
            require_client_id()
            terms_accepted = self.terms_are_accepted(accept_terms or _has_accepted(login_hint))
            # In a container there is no browser, and one outside does not reach the port of the callback.
            if no_browser or settings.IN_CONTAINER:
                attempt = self._with_paste(login_hint, terms_accepted)
            else:
                attempt = self._with_browser(login_hint, terms_accepted)
        except (ClientSecretWrong, TokenEndpointDown, NoPortFree) as error:
            raise CommandError(str(error)) from error
        if attempt.account is None:
            raise CommandError(f"Not signed in: {attempt.reason}")
        record_command("Signed in at Google", attempt.account, ADDITION)
        if attempt.reason:
            self.info(attempt.reason)
        self._finish(attempt.account)

    # The two ways

    def _with_browser(self, login_hint: str, terms_accepted: bool) -> SignIn:
        with CallbackListener() as listener:
            attempt = self._start(listener.port, login_hint, terms_accepted)
            address = attempts.google_address(attempt)
            self.info("Sign in at Google. If no browser opens, open this address in one on this machine:")
            self.info(f"\n{address}\n")
            self.info(REFUSED_AT_GOOGLE)
            # In a thread: a browser in the terminal, or the one in BROWSER, blocks until it is closed.
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
            self._wait(attempt)
        return attempt

    def _with_paste(self, login_hint: str, terms_accepted: bool) -> SignIn:
        attempt = self._start(attempts.callback_ports()[0], login_hint, terms_accepted)
        self.info("Open this address in any browser and sign in:")
        self.info(f"\n{attempts.google_address(attempt)}\n")
        self.info("The browser then ends at a page that it cannot open. Copy the address of that page.")
        self.info(REFUSED_AT_GOOGLE)
        while True:
            self.info("Paste it here (or the code alone): ", ending="")
            pasted = _read_pasted()
            if not pasted:
                raise CommandError("Not signed in: nothing was pasted.")
            try:
                return attempts.finish_from_paste(attempt, pasted)
            except AnswerUnusable as error:
                if attempts.refresh_status(attempt).status not in SignIn.WAITING:
                    raise CommandError(f"Not signed in: {attempt.reason or error}") from error
                self.info(str(error))

    def _start(self, port: int, login_hint: str, terms_accepted: bool) -> SignIn:
        """Start an attempt and check the OAuth client. Raises ClientSecretWrong or TokenEndpointDown."""
        attempt = attempts.start(
            port=port, started_by="command-line", terms_accepted=terms_accepted, login_hint=login_hint
        )
        if note := attempts.check(attempt):
            self.info(note)
        return attempt

    def _wait(self, attempt: SignIn) -> None:
        """Wait until the attempt is finished or expired; at a terminal with a countdown."""
        shown = -1
        while attempts.refresh_status(attempt).status in SignIn.WAITING:
            if self.is_interactive and shown != attempt.seconds_left:
                shown = attempt.seconds_left
                self.show_progress(f"Waiting for you, {shown // 60}:{shown % 60:02} left …")
            time.sleep(POLL_SECONDS)
        if shown >= 0:
            self.end_progress()

    def _finish(self, account: Account) -> None:
        """Verify the account at Google and print the result."""
        result = self.check_all([account], verify)[0]
        account.refresh_from_db()
        if result.problem:
            self.info("docs/google-oauth.md says what Google's refusals mean.")
        action = required_action(account)
        status = f"{action.problem}. {action.what_to_do}" if action else "ready"
        self.report([asdict(result)], f"{account.name} ({result.tier}): {result.problem or status}")


def _has_accepted(email: str) -> bool:
    return Account.objects.filter(email=email, terms_accepted_at__isnull=False).exists()


def _read_pasted() -> str:
    """Read a line of input. At a terminal, read further lines of the same paste, too, since a long address
    may be broken."""
    pasted = line = sys.stdin.readline()
    while line and len(pasted) < LONGEST_PASTE and sys.stdin.isatty():
        if not select.select([sys.stdin], [], [], PASTE_SECONDS)[0]:
            break
        line = sys.stdin.readline()
        pasted += line
    return pasted
