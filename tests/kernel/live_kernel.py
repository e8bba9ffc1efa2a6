"""A Jupyter kernel, driven as a notebook drives it, but without a browser."""

from __future__ import annotations

import ast
import json
import os
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import Any, Self

from notebook_files import code_cells

ROOT = Path(__file__).parents[2]
NOTEBOOKS = ROOT / "notebooks"
ADDRESS = re.compile(r"0x[0-9a-f]{6,}")


@dataclass
class Outcome:
    """What one cell showed; ``error`` is the name of what it raised, ``said`` its text."""

    error: str | None = None
    said: str = ""
    shown: list[dict[str, Any]] = field(default_factory=list)
    printed: str = ""
    stderr: str = ""
    seconds_after_interrupt: float = 0.0

    @property
    def text(self) -> str:
        """Everything shown that can be read as text; pictures are left out."""
        kinds = ("text/plain", "text/html", "image/svg+xml")
        texts = [str(data[kind]) for data in self.shown for kind in kinds if kind in data]
        return "\n".join([self.printed, self.stderr, *texts])

    @property
    def repr(self) -> str:
        """The text of the cell's last value."""
        return str(self.shown[-1]["text/plain"]) if self.shown else ""


class Kernel:
    """A running kernel; `run` runs one cell and waits for it."""

    def __init__(self) -> None:
        from jupyter_client.manager import KernelManager  # which takes seconds to import

        self._manager = KernelManager(kernel_name="python3")

    def __enter__(self) -> Self:
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        # The kernel must import what the tests import.
        environment = {**os.environ, "PYTHONPATH": path.rstrip(os.pathsep)}
        self._manager.start_kernel(env=environment, cwd=str(NOTEBOOKS))
        self._client = self._manager.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=60)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)

    def run(
        self,
        code: str,
        *,
        interrupt_after: float | None = None,
        interrupt_at: str | None = None,
        insist_after: float | None = None,
        timeout: float = 120,
    ) -> Outcome:
        """Run a cell; interrupt it so many seconds after it began, or printed ``interrupt_at``.

        Interrupt it again each time that it goes on for ``insist_after`` seconds: as a person would
        where Python was just finalising something, and told nobody what was raised there.
        """
        client, outcome = self._client, Outcome()
        asked = client.execute(code)
        due = None if interrupt_after is None else time.monotonic() + interrupt_after
        if interrupt_at is not None:
            due = None
        interrupted, until = None, time.monotonic() + timeout
        while True:
            if due is not None and time.monotonic() >= due:
                self._manager.interrupt_kernel()
                interrupted = time.monotonic()
                due = None if insist_after is None else interrupted + insist_after
            wait = (due if due is not None else until) - time.monotonic()
            try:
                message = client.get_iopub_msg(timeout=max(0.0, min(wait, 5.0)))
            except Empty:
                assert time.monotonic() < until, f"the cell is still running: {code}"
                continue
            if message["parent_header"].get("msg_id") != asked:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "status" and content["execution_state"] == "idle":
                break
            _note(outcome, kind, content)
            if interrupt_at is not None and interrupt_at in outcome.printed:
                due, interrupt_at = time.monotonic() + (interrupt_after or 0.0), None
        if interrupted is not None:
            outcome.seconds_after_interrupt = time.monotonic() - interrupted
        while (reply := client.get_shell_msg(timeout=10))["parent_header"].get("msg_id") != asked:
            pass
        # Where IPython cannot format a traceback, only the reply says what was raised.
        outcome.error = reply["content"].get("ename", outcome.error)
        return outcome

    def ok(self, code: str, **options: Any) -> Outcome:
        """Run a cell that must not raise."""
        outcome = self.run(code, **options)
        assert outcome.error is None, f"{code}\n{outcome.error}: {outcome.said}"
        return outcome

    def value(self, expression: str) -> Any:
        """What an expression is in the kernel, by way of JSON."""
        return json.loads(self.ok(f"import json\nprint(json.dumps({expression}))").printed)


def _note(outcome: Outcome, kind: str, content: dict[str, Any]) -> None:
    if kind == "stream" and content["name"] == "stdout":
        outcome.printed += content["text"]
    elif kind == "stream":
        outcome.stderr += content["text"]
    elif kind in ("execute_result", "display_data"):
        outcome.shown.append(content["data"])
    elif kind == "error":
        outcome.error, outcome.said = content["ename"], content["evalue"]


def cells_of(path: Path) -> list[tuple[str, bool]]:
    """The code cells of a notebook, and whether each says that it raises."""
    return [
        (cell["source"], "raises-exception" in cell["metadata"].get("tags", []))
        for cell in code_cells(path)
    ]


def makes_a_system(source: str) -> bool:
    """Whether running the cell again gives an empty system."""
    tree = _parsed(source)
    return any(
        isinstance(node, ast.Call) and getattr(node.func, "id", "") == "System"
        for statement in tree.body
        if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        for node in ast.walk(statement)
    )


def defines(source: str) -> bool:
    """Whether a cell only imports and defines: classes, functions, handlers."""
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef, ast.Import, ast.ImportFrom)
    statements = _parsed(source).body
    return bool(statements) and all(isinstance(each, kinds) for each in statements)


def _parsed(source: str) -> ast.Module:
    flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    tree = compile(source, "<cell>", "exec", flags)
    assert isinstance(tree, ast.Module)
    return tree
