"""The sequence diagram as a scene: modules side by side, time downward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import pairwise
from math import ceil

from modulus_es.views import glyphs
from modulus_es.views.happenings import Happening
from modulus_es.views.scene import Group, Label, Scene, Shape, line, polygon, rectangle
from modulus_es.views.text import fitted, is_plain, shown, width_of
from modulus_es.views.timescale import micros, moment

LIMIT = 400
"""How many rows are drawn; the rest is counted, and in the table."""

_MARGIN, _CLOCK, _TOP, _ROW, _BOX = 12, 100, 62, 30, 26
_LEAST, _MOST = 110, 260
_ROOM, _WIDEST = 320, 620
"""How much room there is behind the last lifeline, and how much at most, for what is said there."""
_BETWEEN, _ASIDE = 24, 13

Sentence = Callable[[Happening], str]


def sequence_scene(
    title: str,
    heading: str,
    modules: Sequence[str],
    happenings: Sequence[Happening],
    sentence: Sentence,
) -> Scene:
    """Draw the modules as lifelines, and each happening in a row of its own."""
    if not happenings:
        scene = Scene(600, 60, title)
        scene.add(Label(_MARGIN, 34, "Nothing is known of this conversation.", "caption"))
        return scene
    drawn = happenings[:LIMIT]
    gap = _gap(modules, drawn)
    place = {name: float(_MARGIN + _CLOCK + 50 + gap * i) for i, name in enumerate(modules)}
    width = int(place[modules[-1]]) + _room(place, drawn) + _MARGIN
    end = _TOP + _BOX // 2 + _ROW * len(drawn) + _ROW // 2
    scene = Scene(width, 0, title)
    scene.add(Label(_MARGIN, 16, fitted(heading, width - 2 * _MARGIN, 12), "label"))
    for name, x in place.items():
        scene.add(Shape(line((x, _TOP), (x, end)), "grid"))
        scene.add(_module(name, x, gap))
    said: datetime | None = None
    finest = _finest(drawn)
    for row, happening in enumerate(drawn):
        y = _TOP + _BOX / 2 + _ROW * (row + 1)
        if happening.time != said:
            said = happening.time
            scene.add(Label(_MARGIN, y + 3.5, _clock(said, finest), "caption"))
        items = (
            _message(happening, place, y, width)
            if happening.is_message
            else _became(happening, place[happening.target], y, width)
        )
        scene.add(Group(items, sentence(happening), happening.message_id))
    if len(happenings) > LIMIT:
        rest = f"and {len(happenings) - LIMIT:,} more: see to_frame()"
        scene.add(Label(_MARGIN, end + 14, rest, "caption"))
        end += 20
    kinds = {happening.kind for happening in drawn}
    legend, bottom = glyphs.legend(kinds, _MARGIN, end + 18, width - _MARGIN)
    scene.add(*legend)
    scene.height = int(bottom + 4)
    return scene


def _gap(modules: Sequence[str], happenings: Sequence[Happening]) -> int:
    """How far the lifelines are apart, so that what stands between two fits."""
    number = {name: index for index, name in enumerate(modules)}
    widest = max(width_of(shown(name), 12, bold=True) + _BETWEEN for name in modules)
    for happening in happenings:
        across = abs(number[happening.source] - number[happening.target]) or 1
        widest = max(widest, (width_of(shown(happening.type), 12) + 40) / across)
    return round(min(max(widest, _LEAST), _MOST))


def _room(place: dict[str, float], happenings: Sequence[Happening]) -> int:
    """How far what became of messages reaches beyond the last lifeline."""
    last = max(place.values())
    reach = [
        place[happening.target] - last + _ASIDE + width_of(shown(_became_of(happening)), 10)
        for happening in happenings
        if not happening.is_message
    ]
    return max(_ROOM, ceil(min(max(reach, default=0), _WIDEST)))


def _fit(text: str, size: float) -> float | None:
    return None if is_plain(text) else width_of(text, size)


def _module(name: str, x: float, gap: int) -> Group:
    said = fitted(name or "(no module)", gap - _BETWEEN, 12, bold=True)
    wide = width_of(said, 12, bold=True) + 20
    box = rectangle(x - wide / 2, _TOP - _BOX / 2, wide, _BOX, 4)
    label = Label(x, _TOP + 4, said, "module-name", "middle", _fit(said, 12))
    return Group([Shape(box, "handler"), label], shown(name))


def _message(
    happening: Happening, place: dict[str, float], y: float, width: int
) -> list[Shape | Label]:
    """An arrow from lifeline to lifeline, or a bow back to where it began."""
    x, to_x = place[happening.source], place[happening.target]
    style, head = glyphs.MESSAGES[happening.kind]
    if x == to_x:
        bow = (("M", x, y - 8), ("C", x + 34, y - 10, x + 34, y + 8, x + 9, y + 6))
        tip = polygon([(x + 2, y + 5), (x + 10, y + 1), (x + 9, y + 10)])
        said = fitted(happening.type, width - x - 34 - _MARGIN, 12)
        label = Label(x + 34, y + 3.5, said, "label", fit=_fit(said, 12))
        return [Shape(bow, style), Shape(tip, head), label]
    sign = 1 if to_x > x else -1
    tip_x = to_x - 2 * sign
    shaft = line((x, y + 4), (tip_x - 7 * sign, y + 4))
    tip = polygon([(tip_x, y + 4), (tip_x - 8 * sign, y), (tip_x - 8 * sign, y + 8)])
    said = fitted(happening.type, abs(to_x - x) - 20, 12)
    label = Label((x + to_x) / 2, y - 2, said, "message", "middle", _fit(said, 12))
    return [Shape(shaft, style), Shape(tip, head), label]


def _became(happening: Happening, x: float, y: float, width: int) -> list[Shape | Label]:
    said = fitted(_became_of(happening), width - x - _ASIDE - _MARGIN, 10)
    return [
        *glyphs.moment(happening.kind, x, y),
        Label(x + _ASIDE, y + 3.5, said, "tag", fit=_fit(said, 10)),
    ]


def _became_of(happening: Happening) -> str:
    said = f"{happening.handler}: {glyphs.MEANINGS[happening.kind]}"
    said += f", attempt {happening.attempt}" if happening.attempt > 1 else ""
    if happening.kind in ("crash", "recorded") or happening.text.startswith("lost"):
        said = f"{happening.handler}: {happening.text or happening.type}"
    return said + (f" ({happening.error})" if happening.error else "")


def _finest(happenings: Sequence[Happening]) -> str:
    """How exact all clocks have to be: the same for all, so that they can be compared."""
    times = [micros(happening.time) for happening in happenings]
    if all(time % 1_000_000 == 0 for time in times):
        return "seconds"
    apart = [later - time for time, later in pairwise(sorted({*times})) if later > time]
    return "milliseconds" if min(apart, default=1000) >= 1000 else "microseconds"


def _clock(time: datetime, finest: str) -> str:
    return moment(micros(time)).time().isoformat(timespec=finest)
