"""Accounts in the admin, with their remaining quotas, and the audit log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.core.exceptions import ValidationError
from django.forms import ModelForm
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import URLPattern, path, reverse
from unfold.admin import ModelAdmin
from unfold.decorators import action, display
from unfold.views import ChangeList
from unfold.widgets import UnfoldAdminTextareaWidget

from accounts import actions
from accounts.admin import columns
from accounts.kinds.registry import KINDS
from accounts.models import Account, ClientProblem
from accounts.quota.pools import QuotaPool, pools_of
from accounts.quota.snapshots import history_lines
from accounts.sign_in import pages
from accounts.status.required_action import required_action
from accounts.values.switches import NoSwitches
from accounts.values.switches import checked as checked_switches
from accounts.values.times import second

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from django.db.models import QuerySet

    from accounts.inspection import CheckResult

    Check = Callable[[actions.Operator, Sequence[Account]], list[CheckResult]]


# There is one operator, so users and groups need no pages.
admin.site.unregister(User)
admin.site.unregister(Group)


class AccountForm(ModelForm):  # type: ignore[type-arg]  # not subscriptable at run time
    class Meta:
        model = Account
        widgets: ClassVar = {
            name: UnfoldAdminTextareaWidget({"rows": 2})
            for name in ("model_quota_thresholds", "given_switches")
        }
        fields = (
            "label", "enabled", "priority", "quota_group", "budget_day", "budget_month", "project_id",
            "quota_threshold", "model_quota_thresholds", "given_switches",
        )  # fmt: skip

    def clean_model_quota_thresholds(self) -> dict[str, float]:
        return actions.checked_thresholds(self.cleaned_data["model_quota_thresholds"] or {})

    def clean_given_switches(self) -> dict[str, Any]:
        try:
            return checked_switches(self.cleaned_data["given_switches"] or {})
        except NoSwitches as error:
            raise ValidationError(str(error)) from None


class UsableFilter(admin.SimpleListFilter):
    title = "usable"
    parameter_name = "usable"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Usable now"), ("no", "Needs you")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        if self.value() == "yes":
            return queryset.usable()
        return queryset.unusable() if self.value() == "no" else queryset


class AccountList(ChangeList):
    def get_results(self, request: HttpRequest) -> None:
        """Read the quotas of all accounts that are shown with one query."""
        super().get_results(request)
        pools = pools_of(list(self.result_list))
        for account in self.result_list:
            account.pools = pools[account.pk]


@admin.register(Account)
class AccountAdmin(ModelAdmin):
    form = AccountForm
    list_display = ("shown_name", "shown_state", "shown_tier", "quota", "cooldowns", "used")
    list_filter = (UsableFilter, "state", "enabled", "tier")
    search_fields = ("email", "given_name", "label")
    list_per_page = 50
    list_fullwidth = True
    change_list_template = "accounts/account_list.html"
    change_form_template = "accounts/account.html"
    actions: ClassVar = [
        "verify_chosen",
        "refresh_chosen",
        "enable_chosen",
        "disable_chosen",
        "accept_terms_chosen",
    ]
    actions_detail: ClassVar = ["verify_one", "refresh_one", "sign_in_again"]
    actions_row: ClassVar = ["verify_one", "refresh_one", "sign_in_again"]

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("add/", wrap(pages.start), name="accounts_account_add"),
            path("sign-in/<int:number>/", wrap(pages.attempt), name="accounts_sign_in"),
            path("sign-in/<int:number>/status/", wrap(pages.status), name="accounts_sign_in_status"),
            *super().get_urls(),
        ]

    # The list

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return AccountList

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """Show the accounts as stored in the database; viewing the list calls nothing at Google."""
        context = {"client_problem": ClientProblem.objects.first(), "has_accounts": Account.objects.exists()}
        return super().changelist_view(request, {**context, **(extra_context or {})})

    @display(description="account", ordering="email")
    def shown_name(self, account: Account) -> str:
        return str(account)

    @display(description="state", ordering="state")
    def shown_state(self, account: Account) -> str:
        return columns.state_badge(account, account.pools)  # type: ignore[attr-defined]  # see AccountList

    @display(description="tier", ordering="tier")
    def shown_tier(self, account: Account) -> str:
        return columns.tier_badge(account.tier)

    @display(description="what is left")
    def quota(self, account: Account) -> str:
        pools = account.pools  # type: ignore[attr-defined]  # see AccountList
        return columns.quota_bars(pools, is_usable=account.is_usable)

    @display(description="cooldowns")
    def cooldowns(self, account: Account) -> str:
        return columns.cooldowns(account)

    @display(description="last used", ordering="last_used_at")
    def used(self, account: Account) -> str:
        return columns.ago(account.last_used_at)

    def get_exclude(self, request: HttpRequest, obj: Any = None) -> Any:
        """Hide the switches, except for accounts of kind "compatible", whose servers differ in what they
        support."""
        return None if obj is not None and obj.kind == "compatible" else ["given_switches"]

    def get_actions(self, request: HttpRequest) -> Any:
        """Leave out the acceptance of the terms notice when no account needs it; accounts that are keys never
        do."""
        found = super().get_actions(request)
        if not Account.objects.filter(terms_accepted_at=None).exists():
            found.pop("accept_terms_chosen", None)
        return found

    # One account

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> Any:
        account = self.get_object(request, object_id)
        context = {
            "show_save_and_add_another": False,
            "client_problem": ClientProblem.objects.first(),
            **(_facts(account) if account is not None else {}),
            **(extra_context or {}),
        }
        return super().change_view(request, object_id, form_url, context)

    def save_model(self, request: HttpRequest, obj: Account, form: Any, change: bool) -> None:
        """Save only the form's fields, because the server may have changed others meanwhile."""
        fields = list(form.changed_data)
        if obj.state == Account.State.NEEDS_PROJECT:
            obj.set_project(obj.project_id)
            fields += Account.STATE_FIELDS
        if "enabled" in fields and obj.enabled:
            obj.switch_on()
            fields.append("state_reason")
        obj.save(update_fields=fields)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """List only the accounts, without a line for each of their thousands of quota snapshots."""
        accounts = list(objs)
        return [str(account) for account in accounts], {"accounts": len(accounts)}, set(), []

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Account]) -> None:
        for account in queryset:
            account.delete()  # one by one: only Account.delete raises Revision for running servers

    # Actions

    @action(description="Check", icon="verified_user", url_path="verify")
    def verify_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._check_one(request, object_id, actions.verify, "Check")

    @action(description="Refresh quota", icon="refresh", url_path="refresh")
    def refresh_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._check_one(request, object_id, actions.refresh_quota, "Refresh quota")

    @action(description="Renew its sign-in or key", icon="login", url_path="sign-in-again")
    def sign_in_again(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return HttpResponseRedirect(f"{reverse('admin:accounts_account_add')}?account={object_id}")

    @action(description="Check at the provider")
    def verify_chosen(self, request: HttpRequest, queryset: QuerySet[Account]) -> None:
        self._tell(request, actions.verify(request.user, queryset))

    @action(description="Refresh quota")
    def refresh_chosen(self, request: HttpRequest, queryset: QuerySet[Account]) -> None:
        self._tell(request, actions.refresh_quota(request.user, queryset))

    @action(description="Enable")
    def enable_chosen(self, request: HttpRequest, queryset: QuerySet[Account]) -> None:
        actions.enable(request.user, queryset)
        self.message_user(request, "Enabled.", messages.SUCCESS)

    @action(description="Disable")
    def disable_chosen(self, request: HttpRequest, queryset: QuerySet[Account]) -> None:
        actions.disable(request.user, queryset)
        self.message_user(request, "Disabled.", messages.SUCCESS)

    @action(description="Accept Google's terms notice for them")
    def accept_terms_chosen(self, request: HttpRequest, queryset: QuerySet[Account]) -> None:
        actions.accept_terms(request.user, queryset)
        self.message_user(request, "Accepted the notice about Google's terms.", messages.SUCCESS)

    def _check_one(self, request: HttpRequest, object_id: str, check: Check, button: str) -> HttpResponse:
        """Show a confirmation page on GET and check on POST, since Unfold's buttons are links and a GET must
        not change anything."""
        account = self.get_object(request, object_id)
        if account is None:
            raise Http404
        if request.method != "POST":
            context = {
                **self.admin_site.each_context(request),
                "title": f"{button}: {account.name}",
                "button": button,
                "back": request.headers.get("referer", ""),
            }
            return render(request, "accounts/confirm.html", context)
        self._tell(request, check(request.user, [account]))
        return self._back(request)

    def _tell(self, request: HttpRequest, results: list[CheckResult]) -> None:
        for result in results:
            level = messages.WARNING if result.problem else messages.SUCCESS
            self.message_user(request, f"{result.name}: {result.problem or actions.WORKS}", level)

    def _back(self, request: HttpRequest) -> HttpResponse:
        """Redirect to the page of the button: the list or the account."""
        here = reverse("admin:accounts_account_changelist")
        referer = request.POST.get("back") or request.headers.get("referer", "")
        came_from = referer.partition(request.get_host())[2]
        return HttpResponseRedirect(came_from if came_from.startswith(here) else here)


def _facts(account: Account) -> dict[str, Any]:
    """Return the template context of an account's page, apart from its form."""
    pools = pools_of([account])[account.pk]
    return {
        "account": account,
        "kind": KINDS[account.kind],
        "required_action": required_action(account),
        "state_badge": columns.state_badge(account, pools),
        "tier_badge": columns.tier_badge(account.tier),
        "used": columns.ago(account.last_used_at),
        "cooldowns": columns.cooldowns(account),
        "quotas": _quota_rows(account, pools),
    }


def _quota_rows(account: Account, pools: list[QuotaPool]) -> list[dict[str, Any]]:
    """Return a row for each quota pool, with the history of its first model; all its models have equal
    numbers."""
    lines = history_lines(account.pk, [pool.models[0] for pool in pools if pool.models])
    return [
        {
            "bars": [columns.bar_of(pool, is_usable=account.is_usable)],
            "models": ", ".join(pool.models),
            "mode": pool.header_mode,
            "reset_at": pool.back_at,
            "seen": columns.ago(pool.newest.seen_at if pool.newest else None),
            "line": lines.get((pool.models[0], pool.header_mode), "") if pool.models else "",
        }
        for pool in pools
    ]


@admin.register(LogEntry)
class LogEntryAdmin(ModelAdmin):
    """The audit log, read only."""

    list_display = ("when", "who", "subject", "what")
    list_filter = ("user", "action_flag")
    search_fields = ("object_repr", "change_message")
    list_display_links = None

    @display(description="when", ordering="action_time")
    def when(self, entry: LogEntry) -> str:
        return second(entry.action_time)

    @display(description="who", ordering="user")
    def who(self, entry: LogEntry) -> str:
        return entry.user.get_username()

    @display(description="to what")
    def subject(self, entry: LogEntry) -> str:
        return entry.object_repr

    @display(description="what")
    def what(self, entry: LogEntry) -> str:
        return entry.get_change_message() or entry.get_action_flag_display()

    def has_add_permission(self, *args: Any) -> bool:
        return False

    def has_change_permission(self, *args: Any) -> bool:
        return False

    def has_delete_permission(self, *args: Any) -> bool:
        return False
