"""Fetch the scripts that the browser tests need, which are never shipped, into build/npm.

axe-core judges accessibility; Mermaid and Graphviz read what the views export. They
come from npm by `npm pack`, in one version each, and are taken only if they are, byte
for byte, what that version is known to be.
"""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).resolve().parent.parent / "build" / "npm"


class Script(NamedTuple):
    """A package of npm, and which of its files is the script."""

    package: str
    version: str
    file: str
    sha512: str

    @property
    def path(self) -> Path:
        """Where the script is."""
        name = self.package.replace("/", "-").lstrip("@")
        return FOLDER / f"{name}-{self.version}.js"


# The sums are those that npm itself says of these versions.
SCRIPTS = (
    Script(
        "axe-core", "4.11.0", "axe.min.js",
        "ilYanEU8vxxBexpJd8cWM4ElSQq4QctCLKih0TSfjIfCQTeyH/6zVrmIJfLPrKTKJRbiG+cfnZbQIjAlJmF1jQ==",
    ),
    Script(
        "mermaid", "12.3.0", "dist/mermaid.min.js",
        "4113TdXeLAsMruJ79OpFL5O8+LTFXhQqZ260rF3tgUmiNAtRm4Uume04I+65PRN6yZ69J4f8rVYWW8zRk65UYw==",
    ),
    Script(
        "@viz-js/viz", "3.31.0", "dist/viz-global.js",
        "r7zlQdRvcwvIpjHGgs+KNWHeE/P5/Dq7k8ZAKaMCbZqomxCBJV78gVuQYaHzFVca+kB0mX0fMW9UFevCOBG50A==",
    ),
)  # fmt: skip


def text_of(package: str) -> str:
    """The script of a package that was fetched."""
    [script] = [each for each in SCRIPTS if each.package == package]
    return script.path.read_text("utf-8")


def fetch(script: Script) -> str:
    """Fetch one, unless it is there; answer what went wrong."""
    if script.path.is_file():
        return ""
    FOLDER.mkdir(parents=True, exist_ok=True)
    named = f"{script.package}@{script.version}"
    packed = script.path.with_suffix(".tgz")
    try:
        done = subprocess.run(
            ["npm", "pack", "--silent", named],
            cwd=FOLDER,
            check=True,
            capture_output=True,
            text=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        return f"{named} could not be fetched: {error}. Is npm installed?"
    (FOLDER / done.stdout.split()[-1]).rename(packed)
    found = base64.b64encode(hashlib.sha512(packed.read_bytes()).digest()).decode()
    if found != script.sha512:
        packed.unlink()
        return f"{named} is not what it was: sha512 {found}"
    with tarfile.open(packed) as archive:
        content = archive.extractfile(f"package/{script.file}")
        assert content is not None
        script.path.write_bytes(content.read())
    packed.unlink()
    return ""


def main() -> int:
    """Fetch all; answer the process's exit status."""
    wrong = [said for said in map(fetch, SCRIPTS) if said]
    print("\n".join(wrong) or f"{len(SCRIPTS)} scripts in {FOLDER.name}", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
