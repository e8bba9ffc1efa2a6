"""The views of large systems, and the tables."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import timedelta
from functools import partial

from benchmarks.graphs import Graph, tangled, usual
from benchmarks.harness import Row, Subject, Work
from benchmarks.marks import Mark
from modulus_es import System, TraceRecord
from modulus_es.clock import START
from modulus_es.views.handler_graph import HandlerGraph
from modulus_es.views.layout import Box, lay_out

LAYOUT = "modulus_es: the layout alone"
TANGLED = "modulus_es: the layout alone, of a tangled graph"
GRAPH = "modulus_es: the graph as SVG"
TIMELINE = "modulus_es: system.timeline() as SVG"
FRAME = "modulus_es: system.deliveries() as a DataFrame"


async def layout(made: Callable[[int], Graph], work: Work) -> None:
    nodes, edges = made(work.count)
    boxes = [Box(node.id, node.module, 120, 36) for node in nodes]
    pairs = [(edge.source, edge.target) for edge in edges]
    kinds = [edge.kind for edge in edges]
    with work.timed():
        placed = lay_out(boxes, pairs, kinds)
    work.did(len(placed.boxes))
    work.same("routes", set(placed.routes), set(pairs))
    overlapping = len({(box.x, box.y) for box in placed.boxes.values()})
    work.same("places", overlapping, work.count)
    await asyncio.sleep(0)


async def graph(work: Work) -> None:
    nodes, edges = usual(work.count)
    with work.timed():
        svg = HandlerGraph(nodes, edges).to_svg()
    drawn = set(re.findall(r">(Node\d+)<", svg))
    work.did(len(drawn & {node.label for node in nodes}))
    await asyncio.sleep(0)


def busy_system(count: int) -> System:
    """A system whose trace tells of so many deliveries."""
    system = System(seed=7)
    system.module("orders")
    system.module("inventory")
    for number in range(count):
        system.trace.add(
            TraceRecord(
                START + timedelta(seconds=number / 100),
                "delivery",
                "inventory",
                message_id=f"m{number}",
                type="OrderCreated",
                handler=f"handler_{number % 20}",
                attempt=1,
                outcome="done",
                source="orders",
                correlation_id=f"c{number // 3}",
            )
        )
    return system


async def timeline(work: Work) -> None:
    system = busy_system(work.count)
    with work.timed():
        picture = system.timeline()
        svg = picture.to_svg()
    work.did(sum(mark.kind == "done" for mark in picture.marks))
    work.same("begin", svg[:4], "<svg")
    await asyncio.sleep(0)


async def frame(work: Work) -> None:
    system = busy_system(work.count)
    with work.timed():
        found = system.deliveries()
    work.did(int((found["outcome"] == "done").sum()))
    work.same("last", found["message_id"].iloc[-1], f"m{work.count - 1}")
    await asyncio.sleep(0)


def subjects() -> list[Subject]:
    """A large graph and a long timeline."""
    return [
        Subject(
            "view-graph",
            "A handler graph of 1,000 nodes",
            "nodes",
            "cpu",
            1000,
            [
                Row(LAYOUT, "ours", partial(layout, usual)),
                Row(TANGLED, "ours", partial(layout, tangled)),
                Row(GRAPH, "ours", graph),
            ],
            against=LAYOUT,
            marks=[Mark(LAYOUT, "within", 0.5), Mark(TANGLED, "within", 0.5)],
            rounds=0.5,
            quick=1000,
        ),
        Subject(
            "view-timeline",
            "A timeline and a table of 100,000 deliveries",
            "deliveries",
            "cpu",
            100_000,
            [Row(TIMELINE, "ours", timeline), Row(FRAME, "ours", frame)],
            against=TIMELINE,
            rounds=0.5,
        ),
    ]
