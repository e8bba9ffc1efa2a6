"""The same scene by matplotlib, for PNG, PDF, papers and slides; pyplot is never touched."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from modulus_es.views.scene import Label, Path, Scene, Shape, rectangle
from modulus_es.views.text import is_plain
from modulus_es.views.theme import STYLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INCH = 96
"""How many pixels of the picture one inch holds, as in a browser."""

LARGEST = 30_000_000
"""How many dots a PNG has at most; a larger picture is drawn with fewer to the inch."""

_SMALLEST = 4.5
"""Letters of fewer dots than that cannot be read, and are not drawn."""

# What matplotlib's own font has; other letters would be warned about, and drawn as boxes.
_UNDRAWN = re.compile("[^\x20-\x7e\xa0-\u02ff\u0370-\u03ff\u0400-\u052f\u2010-\u2027\u2190-\u21ff]")


def to_figure(
    scene: Scene, ax: Axes | None = None, smallest: float = 0, theme: str = "light"
) -> Figure:
    """The scene as a new figure, or drawn into ``ax``; answers the figure.

    Letters smaller than ``smallest`` pixels of the scene are left out. ``theme``
    is light or dark, and raises ValueError for any other.
    """
    from matplotlib.figure import Figure

    if theme not in ("light", "dark"):
        raise ValueError(f"a theme of a figure is light or dark, not {theme!r}")
    scheme = int(theme == "dark")
    paper = STYLES["paper"].fill[scheme]
    if ax is None:
        figure = Figure(figsize=(scene.width / _INCH, scene.height / _INCH), facecolor=paper)
        ax = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    ax.set_xlim(0, scene.width)
    ax.set_ylim(scene.height, 0)
    ax.set_aspect("equal")
    ax.set_axis_off()
    # Where the axes are somebody else's, a dark picture brings its own ground.
    ground = Shape(rectangle(0, 0, scene.width, scene.height), "paper")
    scale = _points_a_pixel(ax, scene)
    for order, item in enumerate((ground, *_flat(scene))):
        if isinstance(item, Shape):
            _draw(ax, item, scale, order, scheme)
        elif STYLES[item.style].size >= smallest:
            _write(ax, item, scale, order, scheme)
    return cast("Figure", ax.get_figure(root=True))


def to_bytes(
    scene: Scene,
    kind: str = "png",
    dpi: float = 144,
    dots: int = LARGEST,
    theme: str = "light",
) -> bytes:
    """The scene as a PNG of at most so many dots, or as a PDF.

    The bytes are the same on every run with one matplotlib.
    """
    from matplotlib import rc_context

    needed = scene.width * scene.height * (dpi / _INCH) ** 2
    if kind == "png" and needed > dots:
        dpi *= (dots / needed) ** 0.5
    unstamped = {"png": "Software", "pdf": "CreationDate"}
    target = io.BytesIO()
    with rc_context({"pdf.fonttype": 42}):
        smallest = _SMALLEST * _INCH / dpi if kind == "png" else 0
        figure = to_figure(scene, smallest=smallest, theme=theme)
        figure.savefig(target, format=kind, dpi=dpi, metadata={unstamped[kind]: None})
    return target.getvalue()


def _flat(scene: Scene) -> Iterator[Shape | Label]:
    for item in scene.items:
        if isinstance(item, (Shape, Label)):
            yield item
        else:
            yield from item.items


def _points_a_pixel(ax: Axes, scene: Scene) -> float:
    """How many points of type a pixel of the scene takes, in these axes."""
    inches = cast("Figure", ax.get_figure(root=True)).get_size_inches()
    box = ax.get_position()
    across = inches[0] * box.width / scene.width
    down = inches[1] * box.height / scene.height
    return float(min(across, down) * 72)


def _draw(ax: Axes, shape: Shape, scale: float, order: int, scheme: int) -> None:
    from matplotlib.patches import PathPatch

    style = STYLES[shape.style]
    width = (style.width if shape.width is None else shape.width) * scale
    dash: Any = "-"
    if style.dash and width:
        dash = (0, tuple(part * scale / width for part in style.dash))
    # As an artist, not as a patch: the axes have their limits, and need not look at each.
    ax.add_artist(
        PathPatch(
            _matplotlib_path(shape.path),
            facecolor=style.fill[scheme] or "none",
            edgecolor=style.stroke[scheme] or "none",
            linewidth=width if style.stroke[0] else 0,
            linestyle=dash,
            zorder=2 + order * 1e-5,
            capstyle="butt",
        )
    )


def _matplotlib_path(path: Path) -> Any:
    from matplotlib.path import Path as Drawn

    codes: list[Any] = []
    points: list[tuple[float, float]] = []
    for letter, *values in path:
        numbers = [float(value) for value in values]
        pairs = list(zip(numbers[::2], numbers[1::2], strict=True)) or [(0.0, 0.0)]
        code = {"M": Drawn.MOVETO, "L": Drawn.LINETO, "C": Drawn.CURVE4, "Z": Drawn.CLOSEPOLY}
        codes += [code[str(letter)]] * len(pairs)
        points += pairs
    return Drawn(points, codes)


def _write(ax: Axes, label: Label, scale: float, order: int, scheme: int) -> None:
    from matplotlib.patheffects import withStroke

    style = STYLES[label.style]
    drawn = ax.text(
        label.x,
        label.y,
        _UNDRAWN.sub("\N{WHITE SQUARE}", label.text) if not is_plain(label.text) else label.text,
        fontsize=style.size * scale * (1 if label.fit is None else 0.85),
        color=style.fill[scheme],
        fontweight="bold" if style.bold else "normal",
        fontfamily="DejaVu Sans",
        ha={"start": "left", "middle": "center", "end": "right"}[label.anchor],
        va="baseline",
        parse_math=False,
        zorder=2 + order * 1e-5,
        clip_on=True,
    )
    if style.halo:
        drawn.set_path_effects(
            [withStroke(linewidth=3 * scale, foreground=STYLES["module"].fill[scheme])]
        )
