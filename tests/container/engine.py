"""Builds the image and runs containers of it without an engine: the steps of the Dockerfile in a root folder,
and its entry point with the mounts, the user and the capabilities that Docker would give it.

What differs from an engine: the base image (root_folder.py); no network of its own, so that a container's
port is this machine's; no layers, so that containers of one image share its files, and packages come from
this machine's cache of pip. Where this machine forbids unshare(1), the mounted folder is moved into the root
folder instead, and nothing is mounted read-only; see Engine.has_namespaces.
"""

from __future__ import annotations

import logging
import os
import secrets
import shlex
import shutil
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.container.dockerfile import Copy, Stage, context, stages

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

logger = logging.getLogger(__name__)

READY_SECONDS = 60
PIP_CACHE = Path.home() / ".cache" / "pip"
NAMESPACES = ["unshare", "--mount", "--pid", "--uts", "--fork", "--kill-child", "--"]
DOCKERS_CAPABILITIES = (
    *("audit_write", "chown", "dac_override", "fowner", "fsetid", "kill", "mknod", "net_bind_service"),
    *("net_raw", "setfcap", "setgid", "setpcap", "setuid", "sys_chroot"),
)
"""docs.docker.com, Running containers, Runtime privilege and Linux capabilities."""
OF_THE_NETWORK = ("HOME", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "PIP_DEFAULT_TIMEOUT")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")


@dataclass(frozen=True, slots=True)
class Options:
    """Those of `docker run`."""

    environment: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    mount: Path | None = None
    """In the place of the image's volume; None makes a new volume."""
    mount_read_only: bool = False
    root_read_only: bool = False
    tmpfs: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = DOCKERS_CAPABILITIES


class Engine:
    """An image that `build` makes of a project's folder, and its containers."""

    def __init__(self, base: Path, folder: Path) -> None:
        self._base = base
        self._folder = folder
        self.stage: Stage

    @cached_property
    def has_namespaces(self) -> bool:
        return subprocess.run([*NAMESPACES, "true"], capture_output=True, check=False).returncode == 0

    @property
    def root(self) -> Path:
        return self._root_of(self.stage)

    def build(self, project: Path) -> None:
        files = context(project)
        for stage in stages((project / "Dockerfile").read_text()):
            self.stage = stage
            logger.info("FROM %s", stage.base)
            subprocess.run(["cp", "-a", self._base, self.root], check=True)
            for folder, step, environment in stage.steps:
                (self.root / folder[1:]).mkdir(parents=True, exist_ok=True)
                if isinstance(step, Copy):
                    self._copy(step, folder, project, files)
                elif step:
                    self._run_step(step, folder, environment)
        (self.root / ".dockerenv").touch()

    def _root_of(self, stage: Stage) -> Path:
        return self._folder / (stage.name or "final")

    def _copy(self, step: Copy, folder: str, project: Path, files: Sequence[Path]) -> None:
        logger.info("COPY %s %s", " ".join(step.sources), step.target)
        target = self.root / os.path.join(folder, step.target)[1:]  # noqa: PTH118  # it may be absolute
        if step.stage:
            (source,) = step.sources
            target.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(["cp", "-a", self._folder / step.stage / source[1:], target], check=True)
            return
        for name in step.sources:
            found = [path for path in files if path.is_relative_to(project / name)]
            assert found, f"{name} is not in the context"
            for path in found:
                into = target / path.relative_to(project / name if path != project / name else project)
                into.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, into)

    def _run_step(self, step: str, folder: str, environment: Mapping[str, str]) -> None:
        logger.info("RUN %s", step)
        outside = {name: os.environ[name] for name in (*OF_THE_NETWORK, *PROXIES) if name in os.environ}
        command = _chroot(self.root, folder, {**outside, **environment}, ["/bin/sh", "-c", step])
        if self.has_namespaces and PIP_CACHE.is_dir():
            inside = self.root / "root/.cache/pip"
            inside.mkdir(parents=True, exist_ok=True)
            mount = f"mount --make-rprivate / && mount --bind {PIP_CACHE} {inside}"
            command = [*NAMESPACES, "/bin/sh", "-c", f"{mount} && exec {shlex.join(command)}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{step}\n{done.stdout}\n{done.stderr}"

    def run(self, options: Options, *arguments: str) -> Container:
        return Container(self, options, arguments)


class Container:
    """One `docker run`. A context manager; `output` is all that it has printed so far."""

    def __init__(self, engine: Engine, options: Options, arguments: Sequence[str]) -> None:
        self.output = ""
        self._engine = engine
        self._options = options
        self.id = secrets.token_hex(6)
        self.has_namespaces = engine.has_namespaces
        self.environment = {**engine.stage.environment, "HOME": "/root", **options.environment}
        self.data_dir = engine.stage.volumes[0]
        self.health = engine.stage.health
        self.folder = options.mount or self._new_volume()
        stage = engine.stage
        command = self._inside([*stage.entrypoint, *(arguments or stage.command)], options.user)
        logger.info("docker run %s", " ".join(arguments or stage.command))
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True
        )
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self.wait()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self.output += line
                if "Stop with Ctrl-C" in line:
                    self._ready.set()
        self._ready.set()

    def wait_until_ready(self) -> None:
        assert self._ready.wait(READY_SECONDS), self.output
        assert self._process.poll() is None, self.output

    def wait(self) -> int:
        """Its exit status, with all that it has printed read."""
        status = self._process.wait(READY_SECONDS)
        self._reader.join()
        return status

    @property
    def pid(self) -> int:
        """Of the first process of the container, seen from this machine."""
        if not self.has_namespaces:
            return self._process.pid
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        return int(children.read_text().split()[0])

    def stop(self) -> int:
        """As `docker stop`: SIGTERM to the first process. Returns its exit status."""
        logger.info("docker stop")
        os.kill(self.pid, signal.SIGTERM)
        return self.wait()

    def execute(self, *command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """As `docker exec`, which starts a command as root, too."""
        logger.info("docker exec %s", " ".join(command))
        began = time.monotonic()
        done = subprocess.run(
            self.command_inside(*command), input=stdin, capture_output=True, text=True, timeout=READY_SECONDS,
            check=False,
        )  # fmt: skip
        logger.info("exit status %d after %.1f s", done.returncode, time.monotonic() - began)
        return done

    def command_inside(self, *command: str) -> list[str]:
        """The command line of this machine for `docker exec` with this one."""
        enter = ["nsenter", "--target", str(self.pid), "--mount", "--pid", "--uts", "--"]
        return [*(enter if self.has_namespaces else []), *self._chroot(command, self._options.user)]

    def _new_volume(self) -> Path:
        """With the content, the owner and the mode that the image has there."""
        folder = self._engine.root.parent / f"volume-{self.id}"
        subprocess.run(["cp", "-a", self._engine.root / self.data_dir[1:], folder], check=True)
        return folder

    def _chroot(self, command: Sequence[str], user: str) -> list[str]:
        limits = [
            "setpriv",
            "--bounding-set=" + ",".join(["-all", *(f"+{c}" for c in self._options.capabilities)]),
        ]
        if user:
            uid, _, gid = user.partition(":")
            limits += [f"--reuid={uid}", f"--regid={gid or 0}", "--clear-groups"]
        return _chroot(self._engine.root, self._engine.stage.folder, self.environment, [*limits, *command])

    def _inside(self, command: Sequence[str], user: str) -> list[str]:
        chroot = self._chroot(command, user)
        target = self._engine.root / self.data_dir[1:]
        if not self.has_namespaces:
            shutil.rmtree(target)
            shutil.move(self.folder, target)
            self.folder.symlink_to(target)
            return chroot
        root, options = self._engine.root, self._options
        steps = [
            "mount --make-rprivate /",
            f"mount --bind {root} {root}",
            f"mount --bind {self.folder} {target}",
            f"mount -o remount,bind,ro {target}" if options.mount_read_only else "true",
            f"mount -t proc proc {root}/proc",
            *(f"mount -t tmpfs tmpfs {root}{path}" for path in options.tmpfs),
            f"mount -o remount,bind,ro {root}" if options.root_read_only else "true",
            f"echo {self.id} > /proc/sys/kernel/hostname",
            f"exec {shlex.join(chroot)}",
        ]
        return [*NAMESPACES, "/bin/sh", "-c", " && ".join(steps)]


def _chroot(root: Path, folder: str, environment: Mapping[str, str], command: Sequence[str]) -> list[str]:
    values = [f"{name}={value}" for name, value in environment.items()]
    return ["chroot", str(root), "/usr/bin/env", "-i", "-C", folder, *values, *command]
