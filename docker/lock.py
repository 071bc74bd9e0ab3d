"""Writes the image's locks, `make lock`: every package with its version and the SHA-256 of each file that may be installed.

    cluster.lock    what the command line and workers of Dask, Flink and Spark import
    dataflow.lock   what workers and the launcher of Dataflow import
    build.lock      what builds corpusmill itself, and packages that come as sources only

The versions are those of constraints.txt. A lock names the wheels for Python 3.11 on Linux, x86-64 and ARM, and the sources
of a package that has no wheel: pip installs nothing else by it.
"""

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
EXTRAS = {
    "cluster": ("text", "scorer", "tokens", "s3", "dask"),
    "dataflow": ("text", "scorer", "tokens", "gcp"),
    "build": None,
}
"""Lock -> the extras of pyproject.toml that it holds besides the dependencies; None: the build requirements alone."""
PYTHON = "3.11"
PLATFORMS = ("x86_64-manylinux_2_28", "aarch64-manylinux_2_28")


def resolve(lock: str, platform: str) -> list[dict[str, Any]]:
    """The packages of a lock for one platform, with those of their files that fit it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = EXTRAS[lock]
    if extras is None:
        asked = ["-"]
    else:
        asked = ["pyproject.toml", *(word for extra in extras for word in ("--extra", extra))]
    command = [str(Path(sys.executable).with_name("uv")), "pip", "compile", "--quiet", "--no-config"]
    command += ["--python-version", PYTHON, "--python-platform", platform, "--format", "pylock.toml"]
    done = subprocess.run(
        [*command, "--constraints", "constraints.txt", *asked],
        input="\n".join(project["build-system"]["requires"]),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return tomllib.loads(done.stdout)["packages"]


def text(lock: str) -> str:
    """A lock as pip reads it."""
    allowed: dict[str, set[str]] = {}
    names = set()
    for platform in PLATFORMS:
        packages = resolve(lock, platform)
        names.add(tuple(p["name"] for p in packages))
        for package in packages:
            files = package.get("wheels") or [package["sdist"]]
            pinned = f"{package['name']}=={package['version']}"
            allowed.setdefault(pinned, set()).update(file["hashes"]["sha256"] for file in files)
    if len(names) > 1:
        raise SystemExit(f"{lock}.lock: the platforms need different packages, which one list cannot say")
    lines = ["# written by `make lock`"]
    for pinned, hashes in sorted(allowed.items()):
        lines.append(" \\\n    ".join([pinned, *(f"--hash=sha256:{h}" for h in sorted(hashes))]))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    for name in EXTRAS:
        (ROOT / "docker" / f"{name}.lock").write_text(text(name))
