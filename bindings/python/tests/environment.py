#!/usr/bin/env python3
"""Runs Python where shmkit is installed: builds the wheel and puts it into an environment of its own below `target`.

    environment.py [--release] ARGUMENT...      as `python ARGUMENT...` there
"""

import fcntl
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
#: What builds, and what the tests lay over arrays.
PACKAGES = ["maturin>=1.9,<2", "numpy>=1.24"]


def prepare(profile):
    """Returns the interpreter of the environment."""
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
    folder = target / f"python-{sys.version_info.major}.{sys.version_info.minor}-{profile}"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        # One at a time builds; what they build is the same.
        fcntl.flock(lock, fcntl.LOCK_EX)
        python = folder / "venv/bin/python"
        if not python.exists():
            run(sys.executable, "-m", "venv", folder / "venv")
        if run(python, "-c", "import maturin, numpy", check=False, quiet=True).returncode:
            run(python, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", *PACKAGES)
        wheels = folder / "wheels"
        for old in wheels.glob("*.whl"):
            old.unlink()
        build = [python, "-m", "maturin", "build", "--quiet", "--profile", profile, "--interpreter", python, "--out", wheels]
        run(*build, "--manifest-path", ROOT / "bindings/python/Cargo.toml", env={"CARGO_TARGET_DIR": str(target)})
        (wheel,) = wheels.glob("*.whl")
        install = ["install", "--no-deps", "--force-reinstall", "--no-index", wheel]
        run(python, "-m", "pip", "--quiet", "--disable-pip-version-check", *install)
    return python


def run(*command, check=True, quiet=False, env=()):
    stream = subprocess.DEVNULL if quiet else sys.stderr
    return subprocess.run(
        [str(part) for part in command], check=check, stdout=stream, stderr=stream, env={**os.environ, **dict(env)}
    )


if __name__ == "__main__":
    if sys.version_info < (3, 11):
        sys.exit(f"shmkit needs Python 3.11 or later, and this is {sys.version.split()[0]}")
    arguments = sys.argv[1:]
    profile = "wheel" if arguments[:1] == ["--release"] else "dev"
    if profile == "wheel":
        del arguments[0]
    python = str(prepare(profile))
    os.execv(python, [python, *arguments])
