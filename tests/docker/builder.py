"""Builds and runs the images with buildah: no daemon, no registry, nothing left behind."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTHON_IMAGE = "localhost/python:3.11"
PACKAGES = "python3,python3-venv,python-is-python3"
UNREAD = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*")
BOOT, LAUNCHER = "/opt/apache/beam/boot", "/opt/google/dataflow/python_template_launcher"


def missing() -> str | None:
    """Why no image can be built here, if none can."""
    absent = [tool for tool in ("buildah", "mmdebstrap") if not shutil.which(tool)]
    if absent:
        return f"{' and '.join(absent)} not installed: `apt-get install buildah mmdebstrap`"
    if os.geteuid():
        return "images are built by root here, without a daemon"
    return None


def call(argv: Sequence[str | Path], seconds: int) -> str:
    """What a command prints. One that fails, or takes longer, ends the test with its last lines, and its children with it."""
    with subprocess.Popen(
        [str(a) for a in argv],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=seconds)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode:
        raise AssertionError(f"{argv[0]} ended with {process.returncode}:\n{out[-3000:]}\n{err[-3000:]}")
    return out


class Builder:
    """A store of images in a folder, with what stands for the images that come from elsewhere."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.wheels, self.pip = folder / "wheels", folder / "pip.conf"
        self._store = ["--root", str(folder / "root"), "--runroot", str(folder / "run")]
        self._driver = "overlay"
        try:
            self("rm", self("from", "scratch").strip())
        except AssertionError:  # a file system that overlays nothing
            self._driver = "vfs"

    def __call__(self, *arguments: str | Path, seconds: int = 120) -> str:
        return call(self.argv(*arguments), seconds)

    def argv(self, command: str, *arguments: str | Path) -> list[str | Path]:
        isolated = ["--isolation", "chroot"] if command in ("run", "build") else []
        return ["buildah", *self._store, "--storage-driver", self._driver, command, *isolated, *arguments]

    def make_bases(self, beam: str) -> None:
        """Python of Debian's packages for the official image; for Beam's and Google's programs, scripts that start what those
        start at the end."""
        tar = self.folder / "base.tar"
        small = [f"--dpkgopt=path-exclude={path}" for path in UNREAD]
        call(["mmdebstrap", "--variant=minbase", f"--include={PACKAGES}", *small, "bookworm", tar], 600)
        self._commit(PYTHON_IMAGE, tar, "/")
        tar.unlink()
        script = self.folder / "script"
        script.write_text('#!/bin/sh\nexec python -m apache_beam.runners.worker.worker_pool_main "$@"\n')
        script.chmod(0o755)
        self._commit(f"docker.io/apache/beam_python3.11_sdk:{beam}", script, BOOT)
        script.write_text('#!/bin/sh\nexec python "$FLEX_TEMPLATE_PYTHON_PY_FILE" "$@"\n')
        self._commit("localhost/launcher", script, LAUNCHER)

    def _commit(self, name: str, file: Path, at: str) -> None:
        container = self("from", "scratch").strip()
        self("add", "--quiet", container, file, at)
        self("commit", "--quiet", "--rm", container, name)

    def fetch(self, *locks: str) -> None:
        """What the locks name, by this machine's index: inside, pip has no other place to look in."""
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes", "--no-deps"]
        for lock in locks:
            file = ROOT / f"docker/{lock}.lock"
            call([*command, "--no-build-isolation", "--dest", self.wheels, "--requirement", file], 900)
        self.pip.write_text("[global]\nno-index = true\nfind-links = /run/wheels\n")

    def build(self, target: str, **arguments: str) -> str:
        """The name of the image of a target of the Dockerfile."""
        name = f"localhost/{target}"
        arguments |= {"PYTHON_IMAGE": PYTHON_IMAGE, "LAUNCHER_IMAGE": "localhost/launcher"}
        given = [word for key, value in arguments.items() for word in ("--build-arg", f"{key}={value}")]
        mounts = ["--volume", f"{self.wheels}:/run/wheels:ro", "--volume", f"{self.pip}:/etc/pip.conf:ro"]
        options = ["--layers", "--pull-never", "--target", target, "--file", ROOT / "docker/Dockerfile", "--tag", name]
        self("build", *options, *given, *mounts, ROOT, seconds=1200)
        return name

    def config(self, image: str) -> dict:
        return json.loads(self("inspect", "--type", "image", image))["OCIv1"]

    @contextlib.contextmanager
    def container(self, image: str) -> Iterator[str]:
        name = self("from", "--pull-never", image).strip()
        try:
            yield name
        finally:
            self("rm", name)

    @contextlib.contextmanager
    def files(self, container: str) -> Iterator[Path]:
        """The container's disk."""
        try:
            yield Path(self("mount", container).strip())
        finally:
            self("umount", container)

    def remove(self) -> None:
        """The store, and what is mounted in it."""
        with contextlib.suppress(AssertionError):
            self("rm", "--all")
        places = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        for place in reversed([p for p in places if p.startswith(f"{self.folder}/")]):
            call(["umount", "--lazy", place], 60)
        shutil.rmtree(self.folder)
