"""What the Dockerfile, .dockerignore and compose.yaml say of each other and of the code."""

from __future__ import annotations

import re

import pytest

from proxy_site.container.user import IMAGES_USER
from tests.container.dockerfile import Copy, context, stages
from tests.live_gateway import PROJECT

TEXT = (PROJECT / "Dockerfile").read_text()
COMPOSE = (PROJECT / "compose.yaml").read_text()
BUILD, IMAGE = stages(TEXT)
COPIED = {path.relative_to(PROJECT).as_posix() for path in context(PROJECT)}


def test_the_base_is_pinned_by_its_tag() -> None:
    assert BUILD.base == IMAGE.base
    assert re.fullmatch(r"python:3\.\d+-slim-[a-z]+", IMAGE.base)


def test_packages_are_installed_with_their_hashes_in_a_stage_of_their_own() -> None:
    installing = [step for _, step, _ in BUILD.steps if "pip install" in str(step)]

    assert len(installing) == 1
    assert "--require-hashes" in str(installing[0])
    assert not [step for _, step, _ in IMAGE.steps if re.search(r"\b(pip|apt-get)\b", str(step))]


def test_no_shell_stands_between_the_engine_and_the_gateway() -> None:
    assert IMAGE.entrypoint == ["python", "manage.py"]
    assert IMAGE.command == ["runserver"]


def test_the_image_has_the_user_that_empty_folders_are_given_to() -> None:
    made = " ".join(str(step) for _, step, _ in IMAGE.steps)

    assert re.findall(r"--(?:gid|uid) (\d+)", made) == [str(IMAGES_USER)] * 2


def test_the_volume_is_the_operators_path() -> None:
    assert IMAGE.volumes == [IMAGE.environment["DATA_DIR"]] == ["/root/.config/antigravity-proxy"]
    assert f"/.config/antigravity-proxy:{IMAGE.volumes[0]}\n" in COMPOSE


def test_the_port_is_the_same_everywhere() -> None:
    port = IMAGE.environment["PORT"]

    assert IMAGE.ports == [port]
    assert f':{port}:{port}"\n' in COMPOSE


def test_the_drain_ends_before_the_engine_kills() -> None:
    """`docker stop` waits for ten seconds; storing what is left may take two."""
    in_compose = re.search(r"SHUTDOWN_GRACE_SECONDS: (\d+)\n +stop_grace_period: (\d+)s", COMPOSE)

    assert int(IMAGE.environment["SHUTDOWN_GRACE_SECONDS"]) <= 8
    assert in_compose is not None
    assert int(in_compose[1]) + 10 <= int(in_compose[2])


def test_all_code_that_is_imported_is_copied() -> None:
    copied = {source for _, step, _ in BUILD.steps if isinstance(step, Copy) for source in step.sources}
    apps = {path.parent.name for path in PROJECT.glob("*/__init__.py")} - {"tests", "benchmarks"}

    assert copied == apps | {"manage.py", "pyproject.toml", "requirements.txt"}
    assert {name.partition("/")[0] for name in COPIED} == copied


@pytest.mark.parametrize("name", [".env", ".git", "tests", "docs", "uv.lock", ".venv", "__pycache__"])
def test_what_the_gateway_does_not_need_stays_out(name: str) -> None:
    assert not [path for path in COPIED if name in path.split("/")]


def test_its_labels_are_those_of_the_open_container_initiative() -> None:
    names = {name.rpartition(".")[2] for name in IMAGE.labels if name.startswith("org.opencontainers.image.")}

    assert names == {"title", "description", "licenses", "version"}
    assert len(names) == len(IMAGE.labels)
