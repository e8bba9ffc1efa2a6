"""The timeline as a scene: lanes over the clock's time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from modulus_es.views import glyphs
from modulus_es.views.arrows import arrow
from modulus_es.views.lives import Life, causes_of, lanes_of, lives_of, steps_of
from modulus_es.views.marks import SPANS, Mark
from modulus_es.views.scene import Group, Label, Scene, Shape, line, polygon, rectangle
from modulus_es.views.spacing import ends_of, kept_apart
from modulus_es.views.text import fitted, is_plain, shown, width_of
from modulus_es.views.timescale import TimeScale, micros

WIDTH = 840
LIMIT = 2_000
"""How many marks are drawn one by one; more are drawn as counts."""

COUNTED = {
    "count": "recorded or done",
    "count-bad": "retried, failed, duplicate or crashed",
    "count-dead": "dead letters",
}
"""The styles of the bars that are drawn then, and what they count."""

_MARGIN, _TOP = 12, 58
_ROW, _PAD, _HEADING, _COUNTS = 17, 5, 22, 46
_ROWS = 10
_STEP = 17
_BIN = 4
_NAMED = 60
_HEAD = 9
"""How much room there is beside a row's first mark for the head of an arrow."""
_PROBLEMS = ("failed", "retry", "duplicate", "crash")
_ON_TOP = (*_PROBLEMS, "dead")

Sentence = Callable[[Mark], str]


def timeline_scene(
    title: str,
    heading: str,
    marks: Sequence[Mark],
    sentence: Sentence,
    *,
    arrows: bool,
    axis: str,
) -> Scene:
    """Draw the marks, one by one or, where they are too many, as counts."""
    if not marks:
        scene = Scene(WIDTH, 60, title)
        scene.add(Label(_MARGIN, 34, "Nothing has happened yet.", "caption"))
        return scene
    return _Drawing(title, heading, marks, sentence, arrows, axis).drawn()


class _Drawing:
    def __init__(
        self,
        title: str,
        heading: str,
        marks: Sequence[Mark],
        sentence: Sentence,
        arrows: bool,
        axis: str,
    ) -> None:
        self._arrows = arrows
        self._counted = len(marks) > LIMIT
        if self._counted:
            marks = [mark for mark in marks if mark.kind not in SPANS]
        self._title, self._heading, self._marks, self._sentence = title, heading, marks, sentence
        self._lives = lives_of(marks, together=self._counted)
        self._named = not self._counted and len(self._lives) <= _NAMED
        self._causes = [] if self._counted else causes_of(marks, self._lives)
        self._steps = (
            [0] * len(marks) if self._counted else steps_of(marks, self._lives, self._causes)
        )
        self._place(axis)
        self._lanes = lanes_of(self._lives, self._starts)
        self._y = [0.0] * len(marks)
        self._signs: set[str] = set()
        self._bars = False

    def _place(self, axis: str) -> None:
        """Where every mark begins and ends along the axis."""
        marks = self._marks
        names = {name for life in self._lives for name in life.lane}
        widest = max(width_of(shown(name), 12, bold=True) for name in names)
        self._left = _MARGIN + 24.0 + min(max(widest, 100), 190)
        begin = [micros(mark.time) for mark in marks]
        # Where marks are counted, only moments are left, and they end as they begin.
        end = begin if self._counted else [micros(mark.end) for mark in marks]
        room: dict[int, float] = defaultdict(float)
        for time, step in zip(begin, self._steps, strict=True):
            room[time] = max(room[time], float(step * _STEP))
        right = WIDTH - _MARGIN - 16.0
        if self._named:
            right -= max(width_of(self._tag(life), 10) for life in self._lives)
        self._along(begin, end, right, room, axis)
        if (beyond := max(self._starts) - right) > 0:
            self._along(begin, end, right - beyond, room, axis)

    def _along(
        self,
        begin: Sequence[int],
        end: Sequence[int],
        right: float,
        room: Mapping[int, float],
        axis: str,
    ) -> None:
        """Where every mark is on an axis that ends at ``right``, and beyond it where need be."""
        self._scale = TimeScale([*begin, *end], self._left + 14, right, room, axis=axis)
        steps = zip(begin, self._steps, strict=True)
        starts = [self._scale.x(time, step * _STEP) for time, step in steps]
        if self._counted:
            self._starts = self._ends = starts
            return
        self._starts = kept_apart(self._marks, self._lives, self._causes, starts)
        ends = [self._scale.x(time) for time in end]
        self._ends = ends_of(self._marks, self._lives, self._starts, ends)

    def drawn(self) -> Scene:
        """Lanes from top to bottom, then the axis, the arrows and the legend."""
        by_lane: dict[tuple[str, str], list[Life]] = defaultdict(list)
        for life in self._lives:
            by_lane[life.lane].append(life)
        lanes: list[Shape | Label] = []
        spans: list[Group] = []
        moments: list[Group] = []
        y, module = float(_TOP), None
        for lane in self._lanes:
            if lane[0] != module:
                module = lane[0]
                name = fitted(module or "(no module)", WIDTH / 2, 12, bold=True)
                lanes.append(Label(_MARGIN, y + 15, name, "module-name", fit=_fit(name, 12)))
                y += _HEADING
            height = self._lane(by_lane[lane], y, spans, moments)
            strip = rectangle(self._left, y, WIDTH - _MARGIN - self._left, height)
            lanes += [Shape(strip, "lane"), *self._name(lane, by_lane[lane], y, height)]
            y += height + 3
        scene = Scene(WIDTH, 0, self._title)
        scene.add(Label(_MARGIN, 16, fitted(self._heading, WIDTH - 2 * _MARGIN, 12), "label"))
        # Waits are cut where the axis is broken; what happens beside it is not.
        scene.add(*lanes, *self._axis(y - 3), *spans, *self._cuts(y - 3))
        if self._arrows:
            # Below the moments, whose names an arrow that passes must not cross out.
            scene.add(*(self._arrow(source, target) for source, target in self._causes))
        scene.add(*moments)
        bottom = y + 2
        if self._signs:
            legend, bottom = glyphs.legend(self._signs, _MARGIN, y + 16, WIDTH - _MARGIN)
            scene.add(*legend)
        if self._bars:
            legend, bottom = _count_legend(_MARGIN, bottom + 14 - 10 * bool(self._signs))
            scene.add(*legend)
        scene.height = int(bottom + 4)
        return scene

    def _name(
        self, lane: tuple[str, str], lives: list[Life], y: float, height: float
    ) -> list[Shape | Label]:
        name = fitted(lane[1], self._left - _MARGIN - 16, 12)
        items: list[Shape | Label] = [Label(_MARGIN + 8, y + 16, name, "label", fit=_fit(name, 12))]
        if height == _COUNTS:
            held = sum(self._marks[i].kind not in SPANS for life in lives for i in life.marks)
            items.append(Label(_MARGIN + 8, y + 31, f"{held:,} marks", "caption"))
        return items

    def _lane(self, lives: list[Life], y: float, spans: list[Group], moments: list[Group]) -> float:
        """Draw a lane that begins at ``y``; answers its height."""
        rows = [] if self._counted else self._rows(lives)
        if not rows or max(rows) >= _ROWS:
            for life in lives:
                for index in life.marks:
                    self._y[index] = y + _COUNTS / 2
            self._bars = True
            moments += self._counts(lives, y)
            return float(_COUNTS)
        for life, row in zip(lives, rows, strict=True):
            self._life(life, y + _PAD + (row + 0.5) * _ROW, spans, moments)
        return float((max(rows) + 1) * _ROW + 2 * _PAD)

    def _rows(self, lives: list[Life]) -> list[int]:
        """The row of each life, so that no two of a row are in each other's way."""
        free: list[float] = []
        rows = []
        for life in lives:
            begin = min(self._starts[index] for index in life.marks) - glyphs.RADIUS - 3
            if self._arrows:
                begin -= _HEAD
            end = max(self._ends[index] for index in life.marks) + glyphs.RADIUS + 3
            if self._named:
                end += width_of(self._tag(life), 10) + 4
            row = next((row for row, until in enumerate(free) if until <= begin), len(free))
            free[row : row + 1] = [end]
            rows.append(row)
        return rows

    def _tag(self, life: Life) -> str:
        return fitted(self._marks[life.marks[-1]].type, 150, 10)

    def _life(self, life: Life, y: float, spans: list[Group], moments: list[Group]) -> None:
        for index in sorted(life.marks, key=lambda i: self._marks[i].kind in _ON_TOP):
            mark, x = self._marks[index], self._starts[index]
            self._y[index] = y
            if mark.kind not in SPANS or self._ends[index] - x > glyphs.RADIUS + 1:
                self._signs.add(mark.kind)
            if mark.open:
                self._signs.add("open")
            said = self._sentence(mark)
            if mark.kind in SPANS:
                end = self._ends[index]
                shapes = [glyphs.span(mark.kind, x, end, y)]
                if mark.open in ("begin", "both"):
                    shapes.append(glyphs.open_end(x, y, -1))
                if mark.open in ("end", "both"):
                    shapes.append(glyphs.open_end(end, y, 1))
                spans.append(Group(shapes, said, mark.message_id))
            else:
                moments.append(Group(glyphs.moment(mark.kind, x, y), said, mark.message_id))
        if self._named:
            tag, x = self._tag(life), max(self._ends[index] for index in life.marks)
            # On the lane's own ground, so that no break of the axis runs through it.
            ground = rectangle(x + 8, y - 6, width_of(tag, 10) + 2, 12)
            label = Label(x + 9, y + 3.5, tag, "tag", fit=_fit(tag, 10))
            moments.append(Group([Shape(ground, "lane"), label]))

    def _counts(self, lives: list[Life], y: float) -> list[Group]:
        """Bars of what happened in each few pixels of time."""
        bins: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0])
        for life in lives:
            for index in life.marks:
                kind = self._marks[index].kind
                if kind not in SPANS:
                    level = 2 if kind == "dead" else 1 if kind in _PROBLEMS else 0
                    bins[int(self._starts[index] // _BIN)][level] += 1
        most = max((fine + bad + dead for fine, bad, dead in bins.values()), default=1)
        groups = []
        room = _COUNTS - 8
        for place, (fine, bad, dead) in sorted(bins.items()):
            bottom = y + _COUNTS - 2
            shapes = []
            for count, style in ((dead, "count-dead"), (bad, "count-bad"), (fine, "count")):
                if count:
                    tall = max(room * count / most, 2.0)
                    shapes.append(
                        Shape(rectangle(place * _BIN, bottom - tall, _BIN - 1, tall), style)
                    )
                    bottom -= tall
            said = f"{fine + bad + dead:,} marks"
            said += f", {bad:,} of them retries, failures, duplicates or crashes" if bad else ""
            said += f", {dead:,} dead letters" if dead else ""
            groups.append(Group(shapes, said))
        return groups

    def _axis(self, bottom: float) -> list[Shape | Label]:
        items: list[Shape | Label] = []
        for tick in self._scale.ticks():
            items.append(Shape(line((tick.x, _TOP - 6), (tick.x, bottom)), "grid"))
            items.append(Label(tick.x, _TOP - 10, tick.text, "caption", "middle"))
        return items

    def _cuts(self, bottom: float) -> list[Shape | Label]:
        """Where the axis is broken: two waves with nothing between them."""
        items: list[Shape | Label] = []
        for cut in self._scale.breaks:
            x = cut.x + cut.width / 2
            down = [
                (x - 6 + 4 * (n % 2), _TOP - 4 + 7 * n)
                for n in range(int(bottom - _TOP + 4) // 7 + 2)
            ]
            up = [(px + 9, py) for px, py in reversed(down)]
            items.append(Shape(polygon([*down, *up]), "cut"))
            items.append(Shape(line(*down), "cut-edge"))
            items.append(Shape(line(*up), "cut-edge"))
            items.append(Label(x, _TOP - 24, cut.text, "caption", "middle"))
        return items

    def _arrow(self, source: int, target: int) -> Group:
        to = self._marks[target]
        beside = 1.0 if to.kind in SPANS else glyphs.RADIUS + 2
        shaft, head = arrow(
            self._ends[source],
            self._y[source],
            self._starts[target] - beside,
            self._y[target],
        )
        said = f"{self._sentence(self._marks[source])} -> {self._sentence(to)}"
        return Group([Shape(shaft, "arrow"), Shape(head, "arrow-head")], said)


def _count_legend(x: float, y: float) -> tuple[list[Shape | Label], float]:
    items: list[Shape | Label] = []
    for style, meaning in COUNTED.items():
        items.append(Shape(rectangle(x, y - 5, 10, 10), style))
        items.append(Label(x + 16, y + 3.5, meaning, "caption"))
        x += 32 + width_of(meaning, 10)
    return items, y + 14


def _fit(text: str, size: float) -> float | None:
    return None if is_plain(text) else width_of(text, size)
