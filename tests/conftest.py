from __future__ import annotations

import gc
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.contrib.contenttypes.models import ContentType
from django.core.cache import cache
from django.core.management.commands import flush
from django.db import DEFAULT_DB_ALIAS
from hypothesis import HealthCheck, settings

from accounts.models import DatabaseVersion
from accounts.quota.snapshots import forecasts, window_forecasts
from proxy_site.emulator.server import EmulatorServer
from tests.live_gateway import LiveGateway

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_django import DjangoDbBlocker
    from pytest_django.fixtures import Settings

# Collection makes a million objects that stay: looking for garbage among them again and again takes seconds.
gc.disable()

TESTS = Path(__file__).parent
STAGES = ("fast", "clients", "pages", "rest", "properties", "image", "full")
SLOW_FOLDERS = ("benchmarks", "faults", "smoke")

PROGRAMS = {
    "apt": "apt-get",
    "chromium": "chromium",
    "haproxy": "haproxy",
    "node": "npm",
    "postgresql": "initdb",
    "wrk": "wrk",
}
# Debian keeps PostgreSQL's server programs out of PATH; a client alone is not enough.
PATHS = os.pathsep.join([os.environ["PATH"], *map(str, Path("/usr/lib/postgresql").glob("*/bin"))])

# How many examples Hypothesis tries: many in CI, few elsewhere. A failing one prints the line that
# repeats it (@reproduce_failure).
settings.register_profile(
    "ci", max_examples=2_000, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "local", max_examples=100, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("ci" if os.environ.get("CI") else "local")


def stage_of(item: pytest.Item) -> str:
    """The stage that a test belongs to; each belongs to one. `.ci/run` has all but image and full."""
    if item.get_closest_marker("full"):
        return "full"
    folder = item.path.relative_to(TESTS).parts[0]
    programs = {mark.args[0] for mark in item.iter_markers("needs")}
    if item.get_closest_marker("hypothesis"):
        return "properties"
    if "apt" in programs:
        return "image"
    if folder == "clients" or "node" in programs:
        return "clients"
    if "chromium" in programs:
        return "pages"
    if folder in SLOW_FOLDERS or folder == item.path.name or item.get_closest_marker("slow") or programs:
        return "rest"
    # A fixture that makes a whole gateway ready takes a fifth of a second for each test.
    return "rest" if "gateway" in getattr(item, "fixturenames", ()) else "fast"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--stage",
        action="append",
        choices=STAGES,
        help="only the tests of this stage of .ci/run; may be repeated",
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out folders that have no fast test: importing them takes longer than the tests of a small one."""
    folders = {TESTS / name for name in ("clients", *SLOW_FOLDERS)}
    return True if config.getoption("stage") == ["fast"] and collection_path in folders else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Runs after Hypothesis has marked its tests."""
    if chosen := config.getoption("stage"):
        others = [item for item in items if stage_of(item) not in chosen]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if stage_of(item) in chosen]


def pytest_collection_finish() -> None:
    """Look through what is there once, and never again while the tests run."""
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test marked needs("node") is skipped without Node; in CI that is a failure."""
    for mark in item.iter_markers("needs"):
        name = mark.args[0]
        if shutil.which(PROGRAMS[name], path=PATHS) is None:
            reason = f"needs {name}: `{PROGRAMS[name]}` is not installed"
            (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """After each test that commits, Django empties all tables and then runs what follows migrations. The rows
    that this would make are put back instead: working them out again costs more than many a test."""
    with django_db_blocker.unblock():
        version, content_types = DatabaseVersion.objects.get(), list(ContentType.objects.all())

    def put_back(verbosity: int, interactive: bool, db: str) -> None:
        assert db == DEFAULT_DB_ALIAS
        ContentType.objects.clear_cache()
        ContentType.objects.bulk_create(content_types)
        version.save(force_insert=True)

    flush.emit_post_migrate_signal = put_back  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def forget_what_other_tests_have_read() -> None:
    forecasts.forget()
    window_forecasts.forget()
    cache.clear()


@pytest.fixture
def emulator() -> Iterator[EmulatorServer]:
    with EmulatorServer() as server:
        yield server


@pytest.fixture
def google_settings(settings: Settings, emulator: EmulatorServer) -> Settings:
    """With the emulator in Google's place."""
    for name, value in emulator.gateway_settings().items():
        setattr(settings, name, [value] if name == "CLOUDCODE_ENDPOINTS" else value)
    return settings


@pytest.fixture(scope="module")
def shared_emulator() -> Iterator[EmulatorServer]:
    """For tests that leave no mark on it."""
    with EmulatorServer() as server:
        yield server


@pytest.fixture
def live_gateway(emulator: EmulatorServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    with LiveGateway(emulator, tmp_path_factory.mktemp("data")) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def shared_gateway(
    shared_emulator: EmulatorServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveGateway]:
    with LiveGateway(shared_emulator, tmp_path_factory.mktemp("data")) as gateway:
        yield gateway
