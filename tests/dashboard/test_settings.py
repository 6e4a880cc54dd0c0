from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings as project
from django.contrib.admin.models import LogEntry

from accounts.models import LiveSetting
from dashboard.presets import PRESETS

if TYPE_CHECKING:
    from django.test import Client


def stored() -> dict[str, str]:
    return dict(LiveSetting.objects.values_list("name", "value"))


def test_presets_name_live_settings_with_allowed_values() -> None:
    for preset in PRESETS.values():
        for name, value in preset.values.items():
            project.LIVE_SETTINGS[name].read(value)


def test_a_preset_is_shown_used_and_logged(operator: Client) -> None:
    before = operator.get("/settings").content.decode()
    assert "<code>MAX_CONCURRENT_REQUESTS</code> 5 → 3" in before

    after = operator.post("/settings", {"preset": "large"}, follow=True).content.decode()

    assert stored() == PRESETS["large"].values
    assert "in use" in after
    assert [entry.get_change_message() for entry in LogEntry.objects.all()] == [
        "Used the settings for ten accounts and more"
    ]


def test_an_unknown_preset_changes_nothing(operator: Client) -> None:
    operator.post("/settings", {"preset": "<b>huge</b>"})
    assert not stored()


def test_the_range_of_a_number_is_told(operator: Client) -> None:
    assert "1,000 to 600,000." in operator.get("/settings").content.decode()


def test_an_empty_choice_is_called_as_its_description_calls_it(operator: Client) -> None:
    page = operator.get("/settings").content.decode()
    for name in ("GEMINI_SAFETY_THRESHOLD", "DEFAULT_THINKING_LEVEL"):
        assert "empty" in project.LIVE_SETTINGS[name].meaning.lower()
        options = page.partition(f'aria-label="{name}"')[2].partition("</select>")[0]
        assert '<option value="" selected>(empty)</option>' in options


def test_a_refused_value_stays_in_its_field(operator: Client) -> None:
    answer = operator.post("/settings", {"name": "MAX_RETRIES", "value": '"><script>1'})
    page = answer.content.decode()
    assert answer.status_code == 400
    assert 'value="&quot;&gt;&lt;script&gt;1"' in page
    assert "<script>1" not in page


def test_a_value_that_is_too_long_is_refused(operator: Client) -> None:
    answer = operator.post("/settings", {"name": "SYSTEM_PREAMBLE", "value": "x" * 20_001})
    assert "at most 20000 characters" in answer.content.decode()
    assert not stored()


def test_the_default_comes_back(operator: Client) -> None:
    operator.post("/settings", {"name": "MAX_RETRIES", "value": "7"})
    operator.post("/settings", {"name": "MAX_RETRIES", "value": "7", "reset": "1"})
    assert not stored()


def test_the_old_address_leads_here(operator: Client) -> None:
    assert operator.get("/admin/accounts/livesetting/")["Location"] == "/settings"
