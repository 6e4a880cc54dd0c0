"""What `restore` reads: backups, and files that only look like one."""

from __future__ import annotations

import io
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy_site.maintenance import archive
from proxy_site.maintenance.archive import DATABASES, KEYS, MANIFEST, SETTINGS, Manifest, NotABackup

if TYPE_CHECKING:
    from collections.abc import Callable

CONTENT = b"SQLite format 3\0" + bytes(range(256)) * 9
ABOUT = Manifest(engine="sqlite", version="0.2.0", made_at="2026-11-26T02:00:00+00:00")
PARTS = {SETTINGS: b"HOST=127.0.0.1\n", KEYS: b'{"salt": "00"}'}


def a_backup(folder: Path) -> Path:
    database, path = folder / "source", folder / "monday.backup"
    database.write_bytes(CONTENT)
    archive.write(path, ABOUT, database, PARTS)
    return path


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return a_backup(tmp_path_factory.mktemp("backup")).read_bytes()


def read(content: bytes) -> tuple[bytes, str, dict[str, Any], list[str]]:
    """What is read, and the names of all files that there are then. Raises NotABackup."""
    with tempfile.TemporaryDirectory() as name:
        path, folder = Path(name) / "file", Path(name) / "a" / "folder"
        path.write_bytes(content)
        folder.mkdir(parents=True)
        try:
            contents = archive.read(path, folder)
            return contents.database.read_bytes(), contents.settings, contents.keys, []
        finally:
            strays = {one.name for one in Path(name).rglob("*")} - {
                "file",
                "a",
                "folder",
                *DATABASES.values(),
            }
            assert strays == set()


def test_a_written_archive_is_read(good: bytes) -> None:
    assert read(good)[:3] == (CONTENT, "HOST=127.0.0.1\n", {"salt": "00"})


def test_it_is_private_and_an_ordinary_tar(tmp_path: Path) -> None:
    path = a_backup(tmp_path)

    assert path.stat().st_mode & 0o777 == 0o600
    with tarfile.open(path) as tar:
        assert tar.getnames() == [MANIFEST, SETTINGS, KEYS, DATABASES["sqlite"]]


def test_a_bare_database_is_read_as_it_is() -> None:
    assert read(CONTENT)[0] == CONTENT


def member(name: str, content: bytes = b"", **more: Any) -> Callable[[tarfile.TarFile], None]:
    def add(tar: tarfile.TarFile) -> None:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        for attribute, value in more.items():
            setattr(info, attribute, value)
        tar.addfile(info, io.BytesIO(content))

    return add


def tar_of(*members: Callable[[tarfile.TarFile], None], mode: str = "w") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as tar:  # type: ignore[call-overload]
        for add in members:
            add(tar)
    return file.getvalue()


def about(**changes: Any) -> Callable[[tarfile.TarFile], None]:
    said = {"format": archive.FORMAT, "engine": "sqlite", "version": "0.2.0", "made_at": "today", "files": {}}
    return member(MANIFEST, orjson.dumps({**said, **changes}))


def file_of(size: int) -> dict[str, Any]:
    return {DATABASES["sqlite"]: {"bytes": size, "sha256": "0" * 64}}


SPARSE = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(2**50)}
HOSTILE = {
    "nothing": b"",
    "text": b"hello\n" * 500,
    "zeros": bytes(10_240),
    "a tar without a manifest": tar_of(member("database.sqlite3", CONTENT)),
    "a path upwards": tar_of(about(), member("../../outside", b"x")),
    "an absolute path": tar_of(about(), member("/tmp/antigravity-outside", b"x")),
    "a link": tar_of(about(), member(DATABASES["sqlite"], type=tarfile.SYMTYPE, linkname="/etc/passwd")),
    "a hard link": tar_of(about(), member(DATABASES["sqlite"], type=tarfile.LNKTYPE, linkname="/etc/passwd")),
    "a device": tar_of(about(), member(DATABASES["sqlite"], type=tarfile.CHRTYPE)),
    "a pipe": tar_of(about(), member(DATABASES["sqlite"], type=tarfile.FIFOTYPE)),
    "a folder": tar_of(about(), member("database.sqlite3", type=tarfile.DIRTYPE)),
    "a link for a manifest": tar_of(member(MANIFEST, type=tarfile.SYMTYPE, linkname="/etc/passwd")),
    "a name from a header before": tar_of(about(), member("x" * 300, b"x")),
    "holes": tar_of(about(files=file_of(1)), member(DATABASES["sqlite"], b"x", pax_headers=SPARSE)),
    "a size beyond the file": tar_of(about(files=file_of(2**40)))[:2048]
    + b"".join([tarfile.TarInfo(DATABASES["sqlite"]).tobuf()[:512]]),
    "compressed": tar_of(about(files=file_of(1)), member(DATABASES["sqlite"], b"x"), mode="w:gz"),
    "no manifest but a list": tar_of(member(MANIFEST, b"[]")),
    "a manifest of another format": tar_of(about(format="other 7")),
    "a manifest of an unknown engine": tar_of(about(engine="oracle")),
    "a manifest with an escape": tar_of(about(version="\x1b[2J")),
    "a manifest whose files are none": tar_of(about(files={DATABASES["sqlite"]: "large"})),
    "a manifest of nothing": tar_of(about()),
    "the database of another engine": tar_of(
        about(files={DATABASES["postgresql"]: {"bytes": 1, "sha256": ""}}),
        member(DATABASES["postgresql"], b"x"),
    ),
    "a large manifest": tar_of(member(MANIFEST, b" " * 100_000)),
    "a hash that does not fit": tar_of(about(files=file_of(1)), member(DATABASES["sqlite"], b"x")),
    "the database twice": tar_of(about(files=file_of(1)), *[member(DATABASES["sqlite"], b"x")] * 2),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_other_files_are_refused(content: bytes) -> None:
    with pytest.raises(NotABackup, match=r"^is (damaged|not a backup)"):
        read(content)


@given(st.data())
@settings(max_examples=300)
def test_a_damaged_backup_is_refused_or_reads_as_it_was_written(good: bytes, data: st.DataObject) -> None:
    """Each byte of the content is covered by a hash; the rest is names, times and padding."""
    damaged = bytearray(good)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.sampled_from([len(good)] * 3 + [data.draw(st.integers(0, len(good)))]))

    try:
        found = read(bytes(damaged[:end]))
    except NotABackup:
        return
    assert found[:2] == (CONTENT, "HOST=127.0.0.1\n")


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "/nowhere/at/all", "/", "nul\0"])
def test_a_device_or_pipe_is_not_read(path: str, tmp_path: Path) -> None:
    with pytest.raises(NotABackup, match=r"cannot be read|not an ordinary file"):
        archive.read(Path(path), tmp_path)
