"""Run every notebook from top to bottom, keep it as HTML, and print the ledgers it ended with."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert import HTMLExporter

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
TARGET = ROOT / "build" / "demo"

# The pages must show on a machine without a network, so what the stock template loads from
# elsewhere (for formulas, diagrams and widgets, which the notebooks do not use) is left out. It
# also drops what a figure says to those who cannot see it.
TEMPLATE = """
{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_js_mermaidjs -%}{%- endblock -%}
{%- block data_png scoped -%}
<div class="jp-RenderedImage jp-OutputArea-output">
<img src="data:image/png;base64,{{ output.data['image/png'] | escape_html }}"
 alt="{{ (output | get_metadata('alt', 'image/png') or '') | escape_html }}">
</div>
{%- endblock -%}
"""

# Runs in the notebook's own kernel after its last cell, so that the ledger is the one of the
# systems that the reader sees in the page.
LEDGERS = """
from modulus_es import System
for _name, _system in [(n, s) for n, s in globals().items() if isinstance(s, System)]:
    if not _name.startswith("_"):
        _ledger = _system.ledger()
        _ledger.to_csv({prefix!r} + _name + ".csv", index=False)
        _by = ["source", "type", "module", "handler", "outcome"]
        _sums = ["attempts", "effects", "duplicates", "out_of_order"]
        _table = _ledger.assign(messages=1).fillna({{"module": "", "handler": ""}})
        _lost = (_ledger["outcome"] == "lost").sum()
        print(f"{{_name}}: {{len(_ledger)}} ledger rows, lost {{_lost}}")
        print(_table.groupby(_by, observed=True)[["messages", *_sums]].sum().to_string())
        print()
"""


def run(path: Path) -> str:
    """Execute one notebook, write its page and ledgers; answer the ledgers as text."""
    notebook = nbformat.read(path, as_version=4)
    prefix = str(TARGET / f"{path.stem}-ledger-")
    notebook.cells.append(nbformat.v4.new_code_cell(LEDGERS.format(prefix=prefix)))
    client = NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": NOTEBOOKS}},
    )
    try:
        client.execute()
    finally:
        ledgers = notebook.cells.pop()
        exporter = HTMLExporter(raw_template=TEMPLATE)
        html, _ = exporter.from_notebook_node(notebook, {"metadata": {"name": path.stem}})
        (TARGET / f"{path.stem}.html").write_text(html, "utf-8")
    return "".join(output.get("text", "") for output in ledgers.outputs)


def main() -> int:
    """Run them all; answer the process's exit status."""
    # The pages' cells must run on the Python that runs this, whatever kernels the user has.
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    TARGET.mkdir(parents=True, exist_ok=True)
    paths = sorted(NOTEBOOKS.glob("*.ipynb"))
    print(f"Running {len(paths)} notebooks. The pages go to {TARGET.relative_to(ROOT)}/.")
    ledgers = {}
    for path in paths:
        print(f"  {path.name} ...", end=" ", flush=True)
        started = time.monotonic()
        try:
            ledgers[path.name] = run(path)
        except CellExecutionError as error:
            print(f"failed; its page shows where.\n{error}")
            return 1
        print(f"{time.monotonic() - started:.0f} s")
    for name, text in ledgers.items():
        print(f"\nThe ledgers of {name}:\n\n{text.strip()}")
    print("\nPages to open in a browser, and every ledger row as CSV:")
    for result in sorted(TARGET.iterdir()):
        print(f"  {result.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
