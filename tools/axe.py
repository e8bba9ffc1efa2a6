"""Fetch axe-core, which judges the live views' accessibility, into build/axe-core.

It comes from npm by `npm pack`, in one version, and is taken only if it is, byte for
byte, what that version is known to be. It is never shipped.
"""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
import tarfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "build" / "axe-core"
VERSION = "4.11.0"
SHA512 = "ilYanEU8vxxBexpJd8cWM4ElSQq4QctCLKih0TSfjIfCQTeyH/6zVrmIJfLPrKTKJRbiG+cfnZbQIjAlJmF1jQ=="


def main() -> int:
    """Fetch it unless it is there; answer the process's exit status."""
    script = FOLDER / "package" / "axe.min.js"
    if script.is_file() and (FOLDER / "version").read_text() == VERSION:
        return 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    command = ["npm", "pack", "--silent", f"axe-core@{VERSION}"]
    try:
        subprocess.run(command, cwd=FOLDER, check=True, stdout=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"axe-core could not be fetched: {error}. Is npm installed?", file=sys.stderr)
        return 1
    packed = FOLDER / f"axe-core-{VERSION}.tgz"
    found = base64.b64encode(hashlib.sha512(packed.read_bytes()).digest()).decode()
    if found != SHA512:
        print(f"axe-core {VERSION} is not what it was: sha512 {found}", file=sys.stderr)
        return 1
    with tarfile.open(packed) as archive:
        archive.extractall(FOLDER, filter="data")
    (FOLDER / "version").write_text(VERSION)
    return 0


if __name__ == "__main__":
    sys.exit(main())
