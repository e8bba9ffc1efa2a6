"""Colours, lines and letters, light and dark, told apart by those who see no colours too.

Colours follow the sticky notes of event storming, in the shades of Okabe and
Ito that colour-blind readers can tell apart; no meaning rests on colour alone.
"""

from __future__ import annotations

from typing import NamedTuple

FONT = ("Helvetica", "Arial", "Liberation Sans", "DejaVu Sans", "sans-serif")


class Style(NamedTuple):
    """How a shape or a label looks: (light, dark) colours, line width, dashes, letters.

    A shape has a ``stroke`` or a ``fill`` or both, a label has only a ``fill``
    and a ``size``. An empty colour draws nothing.
    """

    fill: tuple[str, str] = ("", "")
    stroke: tuple[str, str] = ("", "")
    width: float = 1
    dash: tuple[float, ...] = ()
    size: float = 0
    bold: bool = False
    halo: bool = False


INK = ("#1b1f24", "#eceff3")
FAINT = ("#59626d", "#a9b3bf")
PAPER = ("#ffffff", "#16191d")
ALARM = ("#a8071a", "#ff9c9c")
LINE = ("#6b7580", "#8b96a3")

STYLES: dict[str, Style] = {
    "paper": Style(fill=PAPER),
    "module": Style(fill=("#f4f6f8", "#1f242a"), stroke=("#c6cdd5", "#3a434d")),
    "label": Style(fill=INK, size=12),
    "caption": Style(fill=FAINT, size=10),
    "message": Style(fill=INK, size=12, halo=True),
    "tag": Style(fill=FAINT, size=10, halo=True),
    "alarm-caption": Style(fill=ALARM, size=10, bold=True),
    "heading": Style(fill=FAINT, size=12, bold=True, halo=True),
    "module-name": Style(fill=FAINT, size=12, bold=True),
    "sync": Style(stroke=LINE, width=1.4),
    "event": Style(stroke=LINE, width=1.4, dash=(5, 3)),
    "cycle-sync": Style(stroke=ALARM, width=1.6),
    "cycle-event": Style(stroke=ALARM, width=1.6, dash=(5, 3)),
    "head": Style(fill=LINE, stroke=LINE),
    "open-head": Style(fill=PAPER, stroke=LINE, width=1.2),
    "cycle-head": Style(fill=ALARM, stroke=ALARM),
    "command": Style(fill=("#dcecf8", "#12324a"), stroke=("#0a5f9e", "#5fb0ea"), width=1.3),
    "query": Style(fill=("#e6f4fa", "#143541"), stroke=("#2b7a99", "#6ec3e0"), width=1.3),
    "aggregate": Style(fill=("#fbf3c4", "#3d3712"), stroke=("#7a6a00", "#d9c64a"), width=1.3),
    "domain_event": Style(fill=("#fde5c8", "#45300f"), stroke=("#a85c00", "#f0a64a"), width=1.3),
    "handler": Style(fill=("#e9ebee", "#2c333b"), stroke=("#535e6a", "#a3afbb"), width=1.3),
    "projector": Style(fill=("#d5f0e5", "#0f3a2c"), stroke=("#00694b", "#4cc79d"), width=1.3),
    "integration_event": Style(
        fill=("#f5dfec", "#43203a"), stroke=("#8f3a72", "#e398c6"), width=1.3
    ),
    "subscriber": Style(fill=("#e6e3f4", "#2b2748"), stroke=("#57499a", "#ab9ff0"), width=1.3),
    "lane": Style(fill=("#f4f6f8", "#1f242a")),
    "grid": Style(stroke=("#dfe4e9", "#333b44")),
    "cut": Style(fill=PAPER),
    "cut-edge": Style(stroke=LINE),
    "waiting": Style(stroke=LINE, width=1.6, dash=(2, 2.5)),
    "in_flight": Style(stroke=("#0a5f9e", "#5fb0ea"), width=1.8, dash=(9, 3)),
    "attempt": Style(fill=("#cfd6dd", "#4a5663"), stroke=("#535e6a", "#a3afbb")),
    "recorded": Style(fill=PAPER, stroke=INK, width=1.4),
    "done": Style(fill=("#00694b", "#4cc79d"), stroke=("#00694b", "#4cc79d")),
    "failed": Style(fill=PAPER, stroke=ALARM, width=1.5),
    "retry": Style(stroke=("#a85c00", "#f0a64a"), width=2.2),
    "duplicate": Style(fill=PAPER, stroke=("#0a5f9e", "#5fb0ea"), width=1.5),
    "crash": Style(fill=INK, stroke=PAPER, width=0.8),
    "open-end": Style(stroke=LINE, width=1.4),
    "dead": Style(fill=ALARM, stroke=ALARM),
    "dead-cross": Style(stroke=PAPER, width=1.8),
    "arrow": Style(stroke=("#8f3a72", "#e398c6"), width=1),
    "arrow-head": Style(fill=("#8f3a72", "#e398c6"), stroke=("#8f3a72", "#e398c6")),
    "count": Style(fill=("#7890a6", "#5c7388")),
    "count-bad": Style(fill=("#8f4f08", "#d98c2b")),
    "count-dead": Style(fill=("#6a020f", "#fff0f0")),
    "flag": Style(stroke=ALARM, width=2, dash=(2, 2)),
}
