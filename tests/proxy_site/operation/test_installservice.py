from __future__ import annotations

import plistlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import pytest
from django.core.management import CommandError, call_command

from proxy_site.management.commands import installservice
from proxy_site.operation.services import MARK, Service, launchd_unit, systemd_unit
from proxy_site.settings import env

if TYPE_CHECKING:
    from pytest_django.fixtures import Settings

ODD = "a folder of 100% $HOME"


@pytest.fixture
def machine(tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Linux machine of a user, whose folder has an odd name. Returns where units are."""
    project = tmp_path / ODD
    project.mkdir()
    python = project / "python"
    python.symlink_to(sys.executable)
    settings.BASE_DIR, settings.DATA_DIR = project, project / "data"
    monkeypatch.setattr(installservice, "container_engine", lambda: "")
    monkeypatch.setattr(installservice, "SYSTEMD_RUNS", tmp_path)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "systemd" / "user"


def commands_in(said: str) -> list[str]:
    return [line.strip() for line in said.splitlines() if line.startswith("  ")]


def test_a_unit_is_shown_and_not_written(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("installservice", "127.0.0.1:9000")

    said = capsys.readouterr()
    assert MARK in said.out
    assert '"serve" "127.0.0.1:9000"' in said.out
    assert "Restart=on-failure\n" in said.out
    assert "TimeoutStopSec=45\n" in said.out
    assert "is not written" in said.err
    assert not machine.exists()


def test_a_unit_is_written_once(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("installservice", "--write")
    first = capsys.readouterr()
    call_command("installservice", "--write", "--json")
    row = orjson.loads(capsys.readouterr().out)["rows"][0]

    [file] = machine.iterdir()
    assert file.name == "antigravity-proxy.service"
    assert file.read_text() == first.out == row["text"]
    assert "systemctl --user enable --now antigravity-proxy.service" in first.err
    assert row["written"] is True


def test_a_unit_with_other_contents_is_shown_as_a_difference(machine: Path) -> None:
    call_command("installservice", "--write")

    with pytest.raises(CommandError, match="exists with other contents") as refused:
        call_command("installservice", "8999", "--write")
    call_command("installservice", "8999", "--write", "--replace")

    assert [line[0] for line in str(refused.value).splitlines() if "ExecStart" in line] == ["-", "+"]
    assert '"127.0.0.1:8999"' in (machine / "antigravity-proxy.service").read_text()


def test_a_unit_of_another_program_stays(machine: Path) -> None:
    machine.mkdir(parents=True)
    (machine / "antigravity-proxy.service").write_text("[Unit]\n")

    for arguments in (["--write"], ["--write", "--replace"], ["--remove", "--write"]):
        with pytest.raises(CommandError, match="was not written by this command"):
            call_command("installservice", *arguments)

    assert (machine / "antigravity-proxy.service").read_text() == "[Unit]\n"


def test_a_replaced_unit_comes_with_a_restart(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("installservice", "--write")
    capsys.readouterr()

    call_command("installservice", "8999", "--write", "--replace")

    assert commands_in(capsys.readouterr().err) == [
        "systemctl --user daemon-reload",
        "systemctl --user enable antigravity-proxy.service",
        "systemctl --user restart antigravity-proxy.service",
        "journalctl --user -u antigravity-proxy.service -f",
    ]


def test_a_unit_is_removed_when_that_is_confirmed(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("installservice", "--write")
    wanted = machine / "default.target.wants"
    wanted.mkdir()
    (wanted / "antigravity-proxy.service").symlink_to(machine / "antigravity-proxy.service")
    capsys.readouterr()

    call_command("installservice", "--remove")
    asked, first = len(list(machine.iterdir())), commands_in(capsys.readouterr().err)
    call_command("installservice", "--remove", "--write")

    assert asked == 2
    assert first[0] == "systemctl --user disable --now antigravity-proxy.service"
    assert first[1].endswith("manage.py installservice --remove --write")
    assert list(machine.rglob("*")) == [wanted]
    assert commands_in(capsys.readouterr().err) == [
        "systemctl --user stop antigravity-proxy.service",
        "systemctl --user daemon-reload",
    ]
    with pytest.raises(CommandError, match="There is no "):
        call_command("installservice", "--remove", "--write")


def test_systemd_does_not_give_up_within_a_minute(machine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("installservice")

    unit = dict(line.split("=", 1) for line in capsys.readouterr().out.splitlines() if "=" in line)
    assert int(unit["RestartSec"]) * int(unit["StartLimitBurst"]) > 60
    assert int(unit["StartLimitIntervalSec"]) > int(unit["RestartSec"]) * int(unit["StartLimitBurst"])


def test_settings_of_this_shell_alone_are_named(
    machine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(env._values, "AUTH_TOKEN", "a long and secret key")
    monkeypatch.setitem(env.sources, "AUTH_TOKEN", "the environment")

    call_command("installservice")

    said = capsys.readouterr()
    assert "AUTH_TOKEN" in said.err
    assert "a long and secret key" not in said.out + said.err


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("container_engine", lambda: "podman", "This is a container: podman starts it again"),
        ("SYSTEMD_RUNS", Path("/none"), "This machine is not run by systemd"),
    ],
)
def test_where_no_service_can_be_a_sentence_says_why(
    name: str, value: object, sentence: str, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installservice, name, value)

    with pytest.raises(CommandError, match=sentence):
        call_command("installservice", "--write")


def test_root_gets_no_service_of_its_own(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)

    with pytest.raises(CommandError, match="This is root"):
        call_command("installservice", "--write")


@pytest.mark.parametrize("arguments", [["--name=../x"], ["--name="], ["--name=A b"], ["nonsense"], ["0"]])
def test_bad_arguments_are_refused(arguments: list[str], machine: Path) -> None:
    with pytest.raises(CommandError):
        call_command("installservice", *arguments)


def test_a_path_with_control_characters_is_refused(machine: Path, settings: Settings) -> None:
    settings.DATA_DIR = Path("/data\nExecStart=/bin/evil")

    with pytest.raises(CommandError, match="control characters"):
        call_command("installservice", "--write")


def test_a_program_that_systemd_would_not_run_is_refused(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/ada's/python")

    with pytest.raises(CommandError, match="systemd runs nothing with quotes"):
        call_command("installservice", "--write")


def test_a_folder_that_cannot_be_written_is_named(machine: Path) -> None:
    machine.parent.mkdir(parents=True)
    machine.touch()

    with pytest.raises(CommandError, match=r"cannot be (read|written)"):
        call_command("installservice", "--write")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_finds_no_fault_in_the_unit(machine: Path) -> None:
    call_command("installservice", "--write")

    done = subprocess.run(
        ["systemd-analyze", "verify", str(machine / "antigravity-proxy.service")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")


def test_launchd_gets_a_property_list(tmp_path: Path) -> None:
    service = Service("a-proxy", ["/a b/python", "manage.py", "serve"], Path(f"/{ODD}"), {"DATA_DIR": "/<&>"}, 45, Path("/a log"))  # fmt: skip  # noqa: E501

    unit = launchd_unit(service, tmp_path, 501)
    facts = plistlib.loads(unit.text.encode())

    assert MARK in unit.text
    assert unit.path == tmp_path / "Library" / "LaunchAgents" / "local.a-proxy.plist"
    assert facts["Label"] == "local.a-proxy"
    assert facts["ProgramArguments"] == service.command
    assert facts["WorkingDirectory"] == f"/{ODD}"
    assert facts["EnvironmentVariables"] == {"DATA_DIR": "/<&>"}
    assert (facts["KeepAlive"], facts["ExitTimeOut"]) == ({"SuccessfulExit": False}, 45)
    assert unit.start[1] == "tail -f '/a log'"
    assert unit.restart == (f"{unit.stop[0]}  # and wait until it has ended", *unit.start)
    assert unit.stop == unit.stop_removed == ("launchctl bootout gui/501/local.a-proxy",)


def test_a_unit_of_systemd_quotes_its_words(tmp_path: Path) -> None:
    service = Service("a", ["/p%/a b", 'x"y', "$Z", "c\\d"], tmp_path, {}, 45, tmp_path)

    text = systemd_unit(service, tmp_path).text

    assert r'ExecStart="/p%%/a b" "x\"y" "$$Z" "c\\d"' in text
