"""What the layout of a handler graph costs, by its size and by how tangled it is."""

from __future__ import annotations

from functools import partial

from benchmarks import graphs
from benchmarks.harness import Row, Subject
from benchmarks.looking import layout

SIZES = (30, 100, 300, 1_000)


def subjects() -> list[Subject]:
    """One curve for each kind of graph."""
    return [
        Subject(
            f"curve-layout-{name}",
            title,
            "nodes",
            "cpu",
            1000,
            [
                Row(f"{n:,}", "ours", partial(layout, made), share=n / 1000, x=n, long=n > 300)
                for n in SIZES
            ],
            against="100",
            rounds=0.3,
            quick=1000,
            axis="nodes",
            figure="layout",
        )
        for name, title, made in (
            ("usual", "Lay out a graph as systems are built", graphs.usual),
            ("tangled", "Lay out a tangled graph", graphs.tangled),
        )
    ]
