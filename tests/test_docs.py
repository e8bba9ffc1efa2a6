"""What the README and the pages of docs/ show, runs: the blocks of a page in order, as one."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import io
import os
import re
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def evaluator(run: Callable[[Any], object]) -> Callable[[Example], None]:
    """Run a block as a notebook runs a cell: `await` works at its top level."""

    def evaluate(example: Example) -> None:
        code = compile(
            # The blank lines make a traceback show the line of the page.
            "\n" * (example.line + example.parsed.line_offset) + example.parsed,
            example.path,
            "exec",
            flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
            dont_inherit=True,
        )
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            outcome = eval(code, example.namespace)
            if inspect.iscoroutine(outcome):
                run(outcome)
        example.namespace["_printed"] = printed.getvalue()

    return evaluate


def compare(example: Example) -> None:
    """An ``output`` block is what the block before it printed."""
    printed, shown = (
        [line.rstrip() for line in text.strip().splitlines()]
        for text in (example.namespace.pop("_printed"), example.parsed)
    )
    assert printed == shown


def run_page(page: Path, namespace: dict[str, Any] | None = None) -> int:
    """Run the blocks of a page in one namespace and one event loop; count them."""
    # A real module, as a kernel's __main__ is one: type hints are looked up there.
    module = types.ModuleType("page")
    sys.modules["page"] = module
    try:
        with asyncio.Runner() as runner:
            python = CodeBlockParser("python", evaluator(runner.run))
            output = CodeBlockParser("output", compare)
            document = Sybil([python, output], pattern="*.md").parse(page)
            document.namespace = vars(module)
            examples = list(document.examples())
            for example in examples:
                example.evaluate()
        if namespace is not None:
            namespace.update(vars(module))
    finally:
        del sys.modules["page"]
    return len(examples)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_shows_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```(?:python|output)$", page.read_text("utf-8"), re.MULTILINE)
    assert run_page(page) == len(blocks)


@pytest.mark.parametrize("picture", ["graph", "timeline"])
def test_the_pictures_of_the_readme_are_those_that_its_code_draws(picture: str) -> None:
    page, name = ROOT / "README.md", f"docs/pictures/quick-start-{picture}.svg"
    assert f"]({name})" in page.read_text("utf-8")
    namespace: dict[str, Any] = {}
    run_page(page, namespace)
    drawn = getattr(namespace["system"], picture)().to_svg()
    # MODULUS_ES_DRAW=1 writes them anew.
    if os.environ.get("MODULUS_ES_DRAW"):
        (ROOT / name).write_text(drawn, "utf-8")
    assert (ROOT / name).read_text("utf-8") == drawn


def test_the_readme_shows_code() -> None:
    assert "```python\n" in (ROOT / "README.md").read_text("utf-8")


def test_awaiting_at_the_top_level_of_a_page_works(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```python\nimport asyncio\n```\n\n"
        "```python\nshown = await asyncio.sleep(0, 'yes')\n```\n\n"
        "```python\nassert shown == 'yes'\n```\n"
    )
    assert run_page(page) == 3


def test_an_output_block_is_compared_with_what_was_printed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```python\nprint('yes')\n```\n\n```output\nno\n```\n")
    with pytest.raises(AssertionError):
        run_page(page)


def test_a_mistake_in_a_page_is_reported_with_its_line(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Title\n\ntext\n\n```python\nfine = 1\nraise ValueError(fine)\n```\n")
    with pytest.raises(ValueError, match="1") as caught:
        run_page(page)
    assert caught.traceback[-1].lineno == 6
