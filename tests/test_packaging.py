"""One pin list, and a wheel that works far from its checkout."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
# What conda-forge calls otherwise.
CONDA_NAMES = {"matplotlib-base": "matplotlib"}
NOT_ON_CONDA_FORGE = {"eventsourcing", "playwright"}


def pins(requirements: list[str]) -> dict[str, str]:
    """Package -> what is asked of its version, from any of the lists."""
    parsed = [Requirement(line) for line in requirements]
    return {
        CONDA_NAMES.get(canonicalize_name(one.name), canonicalize_name(one.name)): str(
            one.specifier
        )
        for one in parsed
        if canonicalize_name(one.name) != PROJECT["name"]
    }


def environment() -> tuple[list[str], list[str]]:
    """What environment.yml takes from conda-forge, and what from pip."""
    content = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))
    conda = [line for line in content["dependencies"] if isinstance(line, str)]
    [pip] = [line["pip"] for line in content["dependencies"] if isinstance(line, dict)]
    return conda, pip


def everything_pinned() -> dict[str, str]:
    return pins([*PROJECT["dependencies"], *EXTRAS["notebook"], *EXTRAS["test"], *EXTRAS["dev"]])


def test_environment_yml_asks_for_what_pyproject_asks_for() -> None:
    conda, pip = environment()
    listed = pins([line for line in [*conda, *pip] if line != "-e ."])
    assert listed.pop("pip") == ""
    python = Requirement(f"python{PROJECT['requires-python']}")
    assert listed.pop("python") == str(python.specifier)
    assert listed == everything_pinned()


def test_environment_yml_takes_from_pip_only_what_conda_forge_lacks() -> None:
    _, pip = environment()
    assert set(pins([line for line in pip if line != "-e ."])) == NOT_ON_CONDA_FORGE
    assert "-e ." in pip


def test_a_package_is_pinned_alike_wherever_it_is_named() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["build-system"]["requires"]
    for requirements in [PROJECT["dependencies"], build, *EXTRAS.values()]:
        for name, specifier in pins(requirements).items():
            assert specifier == everything_pinned().get(name, specifier), name


def test_the_changelog_has_a_place_for_what_is_not_released() -> None:
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_every_command_of_the_readme_is_a_target_of_the_makefile() -> None:
    readme, makefile = ((ROOT / name).read_text("utf-8") for name in ("README.md", "Makefile"))
    named = set(re.findall(r"^make ([a-z-]+)", readme, re.MULTILINE))
    offered = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert named
    assert named <= offered


# Runs with the wheel installed and the checkout out of reach.
SMOKE = """
import doctest, importlib, importlib.metadata, pathlib, pkgutil, sys
import modulus_es

folder = pathlib.Path(modulus_es.__file__).parent
assert folder.is_relative_to(sys.prefix), folder
assert (folder / "py.typed").is_file()
assert importlib.metadata.version("modulus-es") == sys.argv[1]
flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
failed = attempted = 0
for found in pkgutil.walk_packages([str(folder)], "modulus_es."):
    if not found.name.endswith("__main__"):
        outcome = doctest.testmod(importlib.import_module(found.name), optionflags=flags)
        failed, attempted = failed + outcome.failed, attempted + outcome.attempted
print(f"{attempted} examples, {failed} failed")
sys.exit(bool(failed) or not attempted)
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a fresh environment that holds the built wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory"]
    subprocess.run([*build, str(folder / "dist")], cwd=ROOT, check=True, capture_output=True)
    [wheel] = (folder / "dist").glob("*.whl")
    venv.create(folder / "env", with_pip=False)
    python = folder / "env" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install"]
    install = [*pip, "--quiet", "--no-deps", str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    # The dependencies are borrowed from here. A path added by a .pth file does not have its own
    # .pth files read, so the editable checkout does not come with them.
    inside = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    (Path(inside) / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


@pytest.mark.slow
def test_the_wheel_works_outside_the_checkout(installed: Path, tmp_path: Path) -> None:
    command = [str(installed), "-I", "-W", "error", "-c", SMOKE, PROJECT["version"]]
    outcome = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_nothing_else(installed: Path) -> None:
    files = [
        line.split(",")[0]
        for record in installed.parent.parent.rglob("modulus_es-*.dist-info/RECORD")
        for line in record.read_text("utf-8").splitlines()
        if "__pycache__" not in line
    ]
    package = {name for name in files if name.startswith("modulus_es/")}
    assert {name.split("/")[0] for name in set(files) - package} == {
        f"modulus_es-{PROJECT['version']}.dist-info"
    }
    assert package == {
        str(path.relative_to(ROOT))
        for path in (ROOT / "modulus_es").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert any(name.endswith("licenses/LICENSE") for name in files)
