"""A picture as one HTML file that pans, zooms and filters, without a kernel or a network.

The script and the styles are in the file, and its Content-Security-Policy lets
nothing else run: no script but that one, by its hash, and no request at all.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path

from modulus_es.views.svg import escaped

_TOOLS = (
    '<div class="tools" hidden>'
    '<label for="filter">Filter</label><input id="filter" type="search" autocomplete="off">'
    '<span id="count" role="status"></span>'
    + "".join(
        f'<button type="button" data-act="{act}">{text}</button>'
        for act, text in (
            ("previous", "Previous"), ("next", "Next"), ("in", "Zoom in"), ("out", "Zoom out"),
            ("fit", "Whole picture"), ("actual", "Actual size"),
        )
    )
    + "</div>"
)  # fmt: skip
_KEYS = "arrow keys move, + and - zoom, 0 is all of it, 1 its actual size, n and p find"


@cache
def _asset(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def page(title: str, svg: str, alt: str, table: str, theme: str = "auto") -> str:
    """The file: ``svg`` and ``table`` are markup that is escaped already, the others are text.

    ``theme`` is light, dark, or auto, which follows the reader's own.

    >>> page("Graph", "<svg></svg>", "Nothing.", "")[:15]
    '<!DOCTYPE html>'
    """
    script = _asset("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )
    heading = escaped(title)
    return (
        f'<!DOCTYPE html>\n<html lang="en" class="{theme}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{heading}</title>\n<style>{_asset('page.css')}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{heading}</h1>\n{_TOOLS}\n"
        f'<div class="view" tabindex="0" role="group" aria-label="Picture: {_KEYS}">\n{svg}</div>\n'
        '<p id="said" class="said" role="status"></p>\n'
        f"<details><summary>As text</summary><p>{escaped(alt)}</p></details>\n"
        f'<div class="table" tabindex="0" role="group" aria-label="Table">{table}</div>\n'
        f"</main>\n<script>{script}</script>\n</body>\n</html>\n"
    )
