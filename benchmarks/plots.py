"""The pictures of the page: bars for rows side by side, lines for curves.

Colours are those of Okabe and Ito, and hatches say the same once more.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.transforms import blended_transform_factory

from benchmarks.report import short_time

Result = dict[str, Any]

KINDS = {
    "ours": ("modulus_es", "#0072B2", ""),
    "option": ("modulus_es, an option", "#56B4E9", "//"),
    "peer": ("others", "#E69F00", ""),
    "other": ("others", "#E69F00", ""),
    "limit": ("the limit, written out bare", "#BBBBBB", "\\\\"),
    "part": ("a part of the work", "#F0E442", "xx"),
}
LINES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
MARKERS = ("o", "s", "^", "D")

# Text stays text, and the same figures give the same bytes.
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "modulus_es",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "hatch.linewidth": 0.6,
}


def bars(results: Sequence[Result], path: Path) -> None:
    """A panel for each result: units a second of its rows, on a logarithmic scale."""
    with mpl.rc_context(STYLE):
        heights = [len(_measured(result)) for result in results]
        figure = Figure(figsize=(8.6, 0.9 + sum(0.9 + 0.26 * rows for rows in heights)))
        figure.set_layout_engine("constrained")
        panels = figure.subplots(len(results), 1, squeeze=False, height_ratios=heights)[:, 0]
        seen: dict[str, Patch] = {}
        for axes, result in zip(panels, results, strict=True):
            rows = sorted(_measured(result), key=lambda row: row["per_second"])
            for place, row in enumerate(rows):
                label, colour, hatch = KINDS[row["kind"]]
                style = {"facecolor": colour, "hatch": hatch, "edgecolor": "#333333"}
                axes.barh(place, row["per_second"], linewidth=0.5, **style)
                axes.annotate(
                    _many(row["per_second"]),
                    (row["per_second"], place),
                    xytext=(4, 0),
                    textcoords="offset points",
                    va="center",
                )
                seen.setdefault(label, Patch(**style, linewidth=0.5, label=label))
            axes.set_xscale("log")
            axes.set_yticks(range(len(rows)), [row["name"] for row in rows])
            least, most = rows[0]["per_second"], rows[-1]["per_second"]
            axes.set_xlim(least / 3, most * 4)
            axes.text(
                0.01,
                1.0 + 0.12 / max(len(rows), 4),
                f"{result['title']}: {result['unit']} a second",
                transform=blended_transform_factory(figure.transFigure, axes.transAxes),
                weight="bold",
            )
            axes.tick_params(axis="y", length=0)
        figure.legend(
            handles=list(seen.values()), loc="outside lower center", ncols=len(seen), frameon=False
        )
        _save(figure, path)


def lines(results: Sequence[Result], path: Path) -> None:
    """One line for each result: the cost of a unit over what is there already."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.6, 3.6))
        figure.set_layout_engine("constrained")
        axes = figure.subplots()
        costs: list[float] = []
        places: dict[float, float] = {}
        for number, result in enumerate(results):
            rows = [row for row in _measured(result) if "x" in row]
            least = min(row["x"] for row in rows if row["x"] > 0)
            # On a logarithmic scale there is no nought: it is drawn a decade before the first.
            xs = [row["x"] or least / 10 for row in rows]
            places |= {place: row["x"] for place, row in zip(xs, rows, strict=True)}
            ys = [row["seconds"] for row in rows]
            colour, marker = LINES[number % 4], MARKERS[number % 4]
            axes.plot(xs, ys, color=colour, marker=marker, markersize=5, label=_label(result))
            costs += ys
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_ylim(min(costs) / 3, max(costs) * 3)
        axes.set_xticks(list(places), [f"{x:,.0f}" for x in places.values()])
        axes.set_xlabel(" / ".join(dict.fromkeys(result["axis"] for result in results)))
        ticks = _ticks(min(costs) / 3, max(costs) * 3)
        axes.set_yticks(ticks, [short_time(tick) for tick in ticks])
        axes.minorticks_off()
        axes.grid(axis="y", color="#dddddd", linewidth=0.6)
        axes.set_ylabel("time for one")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), frameon=False, ncols=1)
        _save(figure, path)


def _label(result: Result) -> str:
    unit = "" if result["unit"] == result["axis"] else f" ({result['unit']})"
    return result["title"] + unit


def _ticks(least: float, most: float) -> list[float]:
    wanted = [base * 10.0**power for power in range(-9, 3) for base in (1, 2, 5)]
    return [tick for tick in wanted if least <= tick <= most]


def _measured(result: Result) -> list[dict[str, Any]]:
    return [row for row in result["rows"] if "seconds" in row]


def _many(number: float) -> str:
    if number >= 1e6:
        return f"{number / 1e6:.3g} M"
    return f"{number / 1e3:.3g} k" if number >= 1e3 else f"{number:.3g}"


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
