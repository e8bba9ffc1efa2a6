"""Marks that an instant has too little room for, and the arrows between them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from modulus_es.views.arrows import arrow
from modulus_es.views.marks import SPANS, Mark
from modulus_es.views.scene import Group, Scene
from modulus_es.views.timeline import Timeline

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)


def at(kind: str, seconds: float, message: int, *, until: float | None = None) -> Mark:
    time = NOON + timedelta(seconds=seconds)
    end = time if until is None else NOON + timedelta(seconds=until)
    return Mark(time, end, "inventory", "reserve", kind, f"m{message}", "OrderCreated")


def crowded() -> list[Mark]:
    """Forty deliveries with no time between failing, failing again and being done."""
    marks = []
    for message in range(40):
        begun = message * 1.0
        marks += [at(kind, begun, message) for kind in ("retry", "duplicate", "done")]
        marks.append(at("retry", begun + 0.05, message))
    return marks


def signs(scene: Scene) -> dict[float, list[float]]:
    """Where the middle of each sign is, by its row."""
    rows: dict[float, list[float]] = {}
    for group in scene.items:
        if isinstance(group, Group) and group.key:
            points = [v for shape in group.items for _, *v in getattr(shape, "path", ())]
            xs = [float(point[i]) for point in points for i in range(0, len(point), 2)]
            ys = [float(point[i]) for point in points for i in range(1, len(point), 2)]
            middle = int(min(ys) + max(ys) + 1) // 4
            rows.setdefault(middle, []).append((min(xs) + max(xs)) / 2)
    return rows


def test_no_sign_covers_another_of_its_row() -> None:
    scene = Timeline(crowded()).scene()
    rows = signs(scene)
    assert sum(map(len, rows.values())) == 160
    for places in rows.values():
        assert all(right - left > 11 for left, right in pairwise(sorted(places)))
    assert max(map(max, rows.values())) < scene.width


def test_what_lasts_reaches_the_sign_that_ended_it() -> None:
    marks = crowded()
    marks.append(at("waiting", 39.05, 39, until=40))
    marks += [at(kind, 40, 39) for kind in ("failed", "done")]
    groups = [one for one in Timeline(marks).scene().items if isinstance(one, Group) and one.key]
    (wait,) = [one for one in groups if one.items[0].style in SPANS]
    ((_, begin, _), (_, end, _)) = wait.items[0].path  # type: ignore[union-attr]
    (ended,) = [one for one in groups if one.items[0].style == "failed"]
    (_, left, _), *_ = ended.items[0].path  # type: ignore[union-attr]
    assert float(begin) < float(end)
    assert abs(float(end) - float(left) - 4) <= 0.1


def test_what_is_hidden_under_a_sign_is_not_explained() -> None:
    others = [at("done", 60, 2), at("done", 90, 3), at("done", 120, 4)]
    shown = [at("in_flight", 0, 1, until=30), at("done", 30, 1), *others]
    hidden = [at("in_flight", 0, 1, until=0.001), at("done", 0.001, 1), *others]
    assert "in flight" in Timeline(shown).to_svg().split("OrderCreated</text>")[-1]
    assert "in flight" not in Timeline(hidden).to_svg().split("OrderCreated</text>")[-1]


def test_an_arrow_comes_in_from_the_left_of_its_effect() -> None:
    for x in (40.0, 100.0, 104.0):
        for to_y in (20.0, 300.0):
            (_, (_, *course)), ((_, tip, row), (_, back, above), (_, _, below), *_) = arrow(
                x, 150.0, 104.0, to_y
            )
            assert (tip, row) == (104.0, to_y)
            assert float(back) < 104
            assert float(above) < to_y < float(below)
            # The shaft's last stretch is level, and ends within the head.
            assert course[3] == course[5] == to_y
            assert float(course[2]) < float(course[4]) < 104


def test_arrows_of_one_instant_have_heads_of_their_own() -> None:
    heads = [arrow(100.0, 50.0, 100.0, to_y)[1] for to_y in (67.0, 84.0, 101.0)]
    reaches = [sorted(float(point[2]) for point in head if len(point) == 3) for head in heads]
    assert all(before[-1] < after[0] for before, after in pairwise(reaches))
    outs = [float(arrow(100.0, 50.0, 100.0, to_y)[0][1][1]) for to_y in (67.0, 84.0, 101.0)]
    assert outs == sorted(outs, reverse=True)
    assert len(set(outs)) == 3
