"""What a user installs: wheel and sdist, built from the checkout, installed elsewhere, used there."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.processes import ROOT

SERVICE = """
service: hello
jobs:
  web:
    command: [sleep, "60"]
    ports: [{name: http}]
    replicas: 2
  worker:
    command: [sleep, "60"]
    depends_on: [web]
"""


def other_python() -> str:
    """A Python 3.13, on the PATH or among those of pyenv; empty where there is none."""
    candidates = [shutil.which("python3.13") or "", *map(str, Path.home().glob(".pyenv/versions/3.13*/bin/python"))]
    for candidate in filter(None, candidates):
        asked = [candidate, "-c", "import sys; print(sys.version_info[:2])"]
        said = subprocess.run(asked, capture_output=True, text=True, check=False, cwd="/")
        if said.stdout.strip() == "(3, 13)":
            return candidate
    return ""


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory with the wheel and the sdist, built from a copy of what git knows, the sdist first."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("building from a checkout needs git")
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, source / name)
    _run([sys.executable, "-m", "build", "--outdir", str(out), str(source)], cwd=source)
    return out


def _run(command: Sequence[str], cwd: Path, **env: str) -> str:
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "OFFERER_MASTER")}
    done = subprocess.run(
        list(command), cwd=cwd, env=kept | env, capture_output=True, text=True, check=False, timeout=280
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout + done.stderr


def test_the_wheel_has_the_packages_and_nothing_else(dist: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    packages = {"offerer", "frameworks", "executor"}
    assert {name.partition("/")[0] for name in names} == {*packages, "offerer-0.1.0.dist-info"}
    for package in packages:
        assert f"{package}/py.typed" in names
    assert "offerer/wire/v1/common_pb2.py" in names and "offerer/wire/v1/common_pb2.pyi" in names
    assert not [name for name in names if name.endswith(".proto") or "tests/" in name or "/test_" in name]
    (licence,) = [name for name in names if name.endswith("LICENSE")]
    assert b"Apache License" in zipfile.ZipFile(wheel).read(licence)
    metadata = zipfile.ZipFile(wheel).read("offerer-0.1.0.dist-info/METADATA").decode()
    assert "Requires-Python: >=3.11" in metadata and "License" in metadata and "# offerer" in metadata


def test_the_sdist_is_enough_to_build_the_wheel(dist: Path) -> None:
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    assert {"LICENSE", "README.md", "setup.cfg", "pyproject.toml", "offerer/py.typed"} <= names


@pytest.mark.parametrize(
    ("kind", "python"),
    [("whl", sys.executable), ("whl", other_python()), ("tar.gz", other_python() or sys.executable)],
    ids=["wheel", "wheel-on-python3.13", "sdist"],
)
def test_it_installs_and_runs_outside_the_checkout(dist: Path, tmp_path: Path, kind: str, python: str) -> None:
    if not python:
        pytest.skip("there is no Python 3.13 on this machine")
    (package,) = dist.glob(f"*.{kind}")
    _run([python, "-m", "venv", str(tmp_path / "venv")], cwd=tmp_path)
    bin_dir = tmp_path / "venv" / "bin"
    _run([str(bin_dir / "pip"), "install", "--quiet", "--disable-pip-version-check", str(package)], cwd=tmp_path)

    for command in ("offerer", "offerer-master", "offerer-executor", "offerer-framework"):
        assert "0.1.0" in _run([str(bin_dir / command), "--version"], cwd=tmp_path)
        assert "Usage:" in _run([str(bin_dir / command), "--help"], cwd=tmp_path)
    where = "import offerer, executor, frameworks.coding; print(offerer.__file__, executor.__file__)"
    assert str(ROOT) not in _run([str(bin_dir / "python"), "-c", where], cwd=tmp_path)
    for absent in ("tests", "benchmarks", "proto", "examples"):
        found = f"import importlib.util; print(importlib.util.find_spec({absent!r}))"
        assert _run([str(bin_dir / "python"), "-c", found], cwd=tmp_path) == "None\n"

    (tmp_path / "hello.yaml").write_text(SERVICE)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    dev = [str(bin_dir / "offerer"), "dev", "hello.yaml", "--up", "--once", "--runtime", "process", "--listen", address]
    said = _run(dev, cwd=tmp_path)
    assert said.count(" RUNNING  host-") == 3
