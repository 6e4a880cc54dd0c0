"""`/accounts/import`: accounts from files of this gateway and of other tools, after a preview."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.http import HttpResponseRedirect
from django.urls import reverse

from accounts.credentials.passphrases import PassphraseWrong
from accounts.operators import audit
from accounts.terms import NOTICE
from accounts.transfer.documents import ImportFileUnusable
from accounts.transfer.importing import WOULD_FAIL, checked, preview, store, summary
from accounts.transfer.owners import find_owners, lacks_owner
from accounts.transfer.readers import parse_rows
from accounts.transfer.rows import CLOUD_CODE, FAILED, ImportedRow, Outcome
from accounts.transfer.sealed_preview import PreviewUnusable, seal_rows, unseal_rows
from dashboard.pages import operator_page, render_page

if TYPE_CHECKING:
    from django.core.files.uploadedfile import UploadedFile
    from django.http import HttpRequest, HttpResponse

MOST_ROWS = 1_000
MOST_ASKED = 100
"""The most rows for which Google is asked for the e-mail address while the browser waits."""
USE_THE_COMMAND = "The command importaccounts takes more."


class NotTaken(Exception):
    """Raised when the files cannot be imported as they are. The text is for the operator."""


@operator_page
def upload(request: HttpRequest) -> HttpResponse:
    """Show the form, and after a POST the preview."""
    if request.method != "POST":
        return _form(request)
    try:
        rows = _rows_of(request)
        sealed = seal_rows(rows, _session(request))
    except (NotTaken, PreviewUnusable) as error:
        return _form(request, str(error))
    outcomes = preview(rows)
    return _outcomes(
        request,
        outcomes,
        sealed=sealed,
        importable=sum(outcome.result != WOULD_FAIL for outcome in outcomes),
        asked=sum(map(lacks_owner, rows)),
        notice=NOTICE if any(row.kind == CLOUD_CODE and not row.problem for row in rows) else "",
    )


@operator_page
def confirm(request: HttpRequest) -> HttpResponse:
    """Import the rows of the preview."""
    if request.method != "POST":
        return HttpResponseRedirect(reverse("dashboard:account_import"))
    try:
        rows = unseal_rows(request.POST.get("rows", ""), _session(request))
    except PreviewUnusable as error:
        return _form(request, str(error))
    outcomes = store(find_owners(checked(rows)), terms_accepted="accept_terms" in request.POST)
    audit.record(request.user, f"Imported accounts: {summary(outcomes)}")
    return _outcomes(request, outcomes, is_done=True)


def _rows_of(request: HttpRequest) -> list[ImportedRow]:
    """Return the rows of all files; a file that cannot be read becomes a row with a problem. Raises
    NotTaken."""
    files = request.FILES.getlist("files")
    if not files:
        most = settings.FILE_UPLOAD_MAX_MEMORY_SIZE / 1_000_000
        raise NotTaken(f"No file has come. Choose files of {most:.1f} MB together at most. {USE_THE_COMMAND}")
    passphrase = request.POST.get("passphrase", "")
    rows = [row for file in files for row in _parse(file, passphrase)]
    if len(rows) > MOST_ROWS:
        raise NotTaken(
            f"{len(rows):,} accounts are more than the page takes ({MOST_ROWS:,}). {USE_THE_COMMAND}"
        )
    if sum(map(lacks_owner, rows)) > MOST_ASKED:
        raise NotTaken(
            f"Google would have to be asked for more than {MOST_ASKED} e-mail addresses. {USE_THE_COMMAND}"
        )
    return rows


def _parse(file: UploadedFile[Any], passphrase: str) -> list[ImportedRow]:
    name = file.name or "a file"
    try:
        return parse_rows(file.read(), lambda: passphrase, name)
    except (ImportFileUnusable, PassphraseWrong) as error:
        return [ImportedRow(problem=str(error), file=name)]


def _form(request: HttpRequest, problem: str = "") -> HttpResponse:
    return render_page(request, "adding/import.html", {"here": "accounts", "problem": problem})


def _outcomes(request: HttpRequest, outcomes: list[Outcome], **more: Any) -> HttpResponse:
    failed = sum(outcome.result in {FAILED, WOULD_FAIL} for outcome in outcomes)
    context = {
        "here": "accounts",
        "outcomes": outcomes,
        "failed": failed,
        "taken": len(outcomes) - failed,
        **more,
    }
    return render_page(request, "adding/outcomes.html", context)


def _session(request: HttpRequest) -> str:
    return request.session.session_key or ""
