"""What nbval does not look at: a notebook is committed as a complete, clean run."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from notebook_files import code_cells

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
MACHINE_PATH = re.compile(r"/(?:home|root|tmp|Users|work|usr|opt|var|private)/[\w.]|[A-Za-z]:\\\\")

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)


def metadata(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))["metadata"]
    return found


def test_there_are_notebooks_to_guard() -> None:
    assert NOTEBOOKS


@every_notebook
def test_every_code_cell_was_executed_once_in_order(path: Path) -> None:
    cells = code_cells(path)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))


@every_notebook
def test_no_cell_is_empty(path: Path) -> None:
    assert all(cell["source"].strip() for cell in code_cells(path))


@every_notebook
def test_an_error_is_stored_only_where_the_cell_says_that_it_raises(path: Path) -> None:
    for cell in code_cells(path):
        raises = any(output["output_type"] == "error" for output in cell["outputs"])
        assert raises == ("raises-exception" in cell["metadata"].get("tags", [])), cell["source"]


@every_notebook
def test_nothing_is_printed_to_stderr(path: Path) -> None:
    for cell in code_cells(path):
        assert not any(output.get("name") == "stderr" for output in cell["outputs"]), cell["source"]


@every_notebook
def test_no_widget_state_and_no_widget_view_is_stored(path: Path) -> None:
    assert "widgets" not in metadata(path)
    assert "application/vnd.jupyter.widget" not in path.read_text("utf-8")


@every_notebook
def test_no_cell_escapes_the_comparison(path: Path) -> None:
    tags = {tag for cell in code_cells(path) for tag in cell["metadata"].get("tags", [])}
    markers = {"nbval-ignore-output", "nbval-skip", "skip-execution"}
    assert tags & markers == set()
    text = path.read_text("utf-8")
    assert not re.search(r"#\s*(NBVAL_IGNORE_OUTPUT|NBVAL_SKIP|PYTEST_VALIDATE_IGNORE)", text)


@every_notebook
def test_no_time_of_a_run_is_stored(path: Path) -> None:
    assert not any("execution" in cell["metadata"] for cell in code_cells(path))


@every_notebook
def test_no_path_or_address_of_a_machine_is_stored(path: Path) -> None:
    for cell in code_cells(path):
        shown = cell["source"] + json.dumps(
            [
                {kind: data for kind, data in output.get("data", {}).items() if "image" not in kind}
                | {key: output.get(key, "") for key in ("text", "traceback", "evalue")}
                for output in cell["outputs"]
            ]
        )
        assert not MACHINE_PATH.search(re.sub(r"base64,[A-Za-z0-9+/=]+", "", shown)), cell["source"]
        assert not re.search(r" at 0x[0-9a-f]{6,}", shown), cell["source"]


@every_notebook
def test_the_kernel_is_the_one_that_every_jupyter_has(path: Path) -> None:
    assert metadata(path)["kernelspec"]["name"] == "python3"
