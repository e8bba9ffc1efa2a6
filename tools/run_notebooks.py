"""Run notebooks from top to bottom and keep what they show.

    run_notebooks.py                                 all of them
    run_notebooks.py notebooks/01-quickstart.ipynb   one

What differs from machine to machine is left out (times, versions), so that only
what a reader sees can change. A cell that raises stops it, and nothing is written.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def run(path: Path) -> None:
    """Run one notebook in its own folder, and write it."""
    notebook = nbformat.read(path, as_version=4)
    folder = {"metadata": {"path": str(path.parent)}}
    NotebookClient(
        notebook, timeout=600, kernel_name="python3", record_timing=False, resources=folder
    ).execute()
    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    nbformat.validate(notebook)
    nbformat.write(notebook, path)


def main() -> None:
    """Run the notebooks named on the command line, or all."""
    named = [Path(name).resolve() for name in sys.argv[1:]]
    # The kernel is to be this Python's, and to find the package of this checkout.
    paths = (str(ROOT), os.environ.get("PYTHONPATH", ""))
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    for path in named or sorted((ROOT / "notebooks").glob("*.ipynb")):
        run(path)
        print(f"{path.name}: written")


if __name__ == "__main__":
    main()
