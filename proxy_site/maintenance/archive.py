"""The file format of `backup`: a plain tar without compression.

    manifest.json       engine, version and time, and for each file its size and SHA-256
    database.sqlite3    or database.pgdump
    settings.env        lines of the .env files
    keys.json           only if asked for: keys and secret settings, encrypted with a passphrase

Reading accepts only plain files of known names with the sizes in the manifest. Any other tar feature (links,
paths, long names, sparse files, extended headers) is refused.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tarfile
from dataclasses import asdict, dataclass, field, fields
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FORMAT = "antigravity-claude-proxy backup 1"
MANIFEST = "manifest.json"
SETTINGS = "settings.env"
KEYS = "keys.json"
DATABASES = {"sqlite": "database.sqlite3", "postgresql": "database.pgdump"}
MOST_BYTES = {MANIFEST: 64 * 1024, SETTINGS: 1024 * 1024, KEYS: 4 * 1024 * 1024}
"""The largest size of each file that is read into memory."""
STEP = 1024 * 1024


class NotABackup(Exception):
    """Raised for a file that is damaged or not a backup. The text continues a sentence that begins with the
    file's name."""


@dataclass(frozen=True, slots=True)
class Manifest:
    engine: str
    version: str
    """The version of the code that made the backup."""
    made_at: str


@dataclass(slots=True)
class Contents:
    """The contents of a backup; `manifest` is None for a bare copy of a database."""

    database: Path
    engine: str
    manifest: Manifest | None = None
    settings: str = ""
    keys: dict[str, Any] = field(default_factory=dict)


def write(path: Path, manifest: Manifest, database: Path, parts: Mapping[str, bytes]) -> None:
    """Write the backup to `path`, which must not exist. Raises OSError."""
    name = DATABASES[manifest.engine]
    files = {name: {"bytes": database.stat().st_size, "sha256": _hash_of(database)}}
    files |= {
        one: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for one, data in parts.items()
    }
    text = orjson.dumps({"format": FORMAT, **asdict(manifest), "files": files}, option=orjson.OPT_INDENT_2)
    with (
        _create(path) as file,
        tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as tar,
    ):
        _add(tar, MANIFEST, BytesIO(text), len(text))
        for one, data in parts.items():
            _add(tar, one, BytesIO(data), len(data))
        with database.open("rb") as content:
            _add(tar, name, content, database.stat().st_size)


def read(path: Path, folder: Path) -> Contents:
    """Read a backup, writing its database to the folder. Raises NotABackup, and OSError when the disk is
    full."""
    with _open(path) as file:
        start = file.read(16)
        file.seek(0)
        if start.startswith(b"SQLite format 3\0"):
            _copy_journal(path, folder)
            return _bare(file, folder, "sqlite")
        if start.startswith(b"PGDMP"):
            return _bare(file, folder, "postgresql")
        return _read_tar(file, folder)


def _open(path: Path) -> BinaryIO:
    """Open a regular file, without blocking on a device or pipe. Raises NotABackup."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its name is none"
        raise NotABackup(f"cannot be read: {reason}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotABackup("is not an ordinary file")
    return os.fdopen(descriptor, "rb")


def _copy_journal(path: Path, folder: Path) -> None:
    """Copy the SQLite journal beside the database, which alone has the last writes of a killed server."""
    journal = path.with_name(f"{path.name}-wal")
    if journal.is_file():
        with _open(journal) as file, _create(folder / f"{DATABASES['sqlite']}-wal") as copied:
            shutil.copyfileobj(file, copied, STEP)


def _bare(file: BinaryIO, folder: Path, engine: str) -> Contents:
    target = folder / DATABASES[engine]
    with _create(target) as database:
        shutil.copyfileobj(file, database, STEP)
    return Contents(target, engine)


def _read_tar(file: BinaryIO, folder: Path) -> Contents:
    contents: Contents | None = None
    files: dict[str, Any] = {}
    manifest: Manifest | None = None
    parts: dict[str, bytes] = {}
    while (member := _next(file)) is not None:
        name, size = member
        if manifest is None:
            if name != MANIFEST:
                raise NotABackup("is not a backup of this gateway")
            manifest, files = _manifest(_take(file, size, MOST_BYTES[MANIFEST]))
            continue
        expected = files.pop(name, None)
        if expected is None or expected["bytes"] != size:
            raise NotABackup("is damaged: it holds something else than it says")
        if name == DATABASES[manifest.engine]:
            contents = Contents(folder / name, manifest.engine, manifest)
            digest = _unpack(file, size, contents.database)
        else:
            parts[name] = _take(file, size, MOST_BYTES.get(name, 0))
            digest = hashlib.sha256(parts[name]).hexdigest()
        if digest != expected["sha256"]:
            raise NotABackup(f"is damaged: {name} in it is not as it was written")
    if contents is None or files:
        raise NotABackup("is damaged: it ends too early")
    contents.settings = _text(parts.get(SETTINGS, b""))
    contents.keys = _object(parts.get(KEYS, b"{}"))
    return contents


def _next(file: BinaryIO) -> tuple[str, int] | None:
    """Name and size of the next file in the tar; None at the end. Raises NotABackup."""
    block = file.read(tarfile.BLOCKSIZE)
    if block == tarfile.NUL * tarfile.BLOCKSIZE:
        return None
    try:
        header = tarfile.TarInfo.frombuf(block, "ascii", "strict")
    except (tarfile.HeaderError, UnicodeDecodeError) as error:
        # A short block is the end of the file; a tar ends with two blocks of zeros before that.
        raise NotABackup(
            "is damaged: it ends too early"
            if len(block) < tarfile.BLOCKSIZE and file.tell() > 512
            else "is not a backup of this gateway, or damaged"
        ) from error
    known = {*MOST_BYTES, *DATABASES.values()}
    if header.type != tarfile.REGTYPE or header.name not in known or header.size < 0:
        raise NotABackup("is not a backup of this gateway: it holds what none has")
    return header.name, header.size


def _take(file: BinaryIO, size: int, most: int) -> bytes:
    if size > most:
        raise NotABackup("is not a backup of this gateway: it holds what none has")
    data = file.read(size)
    _skip_padding(file, size, len(data))
    return data


def _unpack(file: BinaryIO, size: int, target: Path) -> str:
    """Write the next file to `target`; returns its SHA-256."""
    digest, left = hashlib.sha256(), size
    with _create(target) as database:
        while left and (data := file.read(min(left, STEP))):
            database.write(data)
            digest.update(data)
            left -= len(data)
    _skip_padding(file, size, size - left)
    return digest.hexdigest()


def _skip_padding(file: BinaryIO, size: int, taken: int) -> None:
    padding = -size % tarfile.BLOCKSIZE
    if taken < size or len(file.read(padding)) < padding:
        raise NotABackup("is damaged: it ends too early")


def _manifest(text: bytes) -> tuple[Manifest, dict[str, Any]]:
    """Return the manifest, and the sizes and hashes it lists by file name. Raises NotABackup."""
    values = _object(text)
    if values.get("format") != FORMAT:
        raise NotABackup("is not a backup that this version reads")
    words = {one.name: values.get(one.name) for one in fields(Manifest)}
    files = values.get("files")
    fits = (
        all(isinstance(word, str) and word.isprintable() and len(word) <= 100 for word in words.values())
        and words["engine"] in DATABASES
        and isinstance(files, dict)
        and all(_is_file(one) for one in files.values())
    )
    if not fits or not isinstance(files, dict):
        raise NotABackup("is damaged: what it says of itself makes no sense")
    return Manifest(**words), files  # type: ignore[arg-type]


def _is_file(value: Any) -> bool:
    return (
        isinstance(value, dict) and type(value.get("bytes")) is int and isinstance(value.get("sha256"), str)
    )


def _object(text: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise NotABackup("is damaged: what it says of itself makes no sense")
    return value


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise NotABackup("is damaged: its settings are no text") from error


def _add(tar: tarfile.TarFile, name: str, content: BinaryIO, size: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o600
    tar.addfile(member, content)


def _create(path: Path) -> BinaryIO:
    """Create a new file with mode 0600."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")


def _hash_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
