"""The views' own modules and style sheets, as they travel to the page.

They are files of the package, read as they are: nothing is built, nothing is fetched.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from modulus_es.views.theme import STYLES, Style

_SCHEMES = ("", '[data-theme="dark"]')
_PARTS = {"timeline": ("columns", "counts")}
"""What stands in files of its own before a view's module: a page gets one module for each view."""


def module(name: str) -> str:
    """The ES module of a view, behind what all views share.

    >>> "export default" in module("graph")
    True
    """
    return "\n".join(_text(f"{part}.js") for part in ("common", *_PARTS.get(name, ()), name))


def stylesheet(name: str) -> str:
    """The style sheet of a view: the theme of the pictures, what all share, and its own.

    >>> ".m-done{" in stylesheet("timeline")
    True
    """
    return f"{theme()}\n{_text('common.css')}\n{_text(f'{name}.css')}"


@cache
def theme() -> str:
    """The styles of `modulus_es.views.theme` as CSS: a variable for every colour."""
    rules = []
    for scheme, where in enumerate(_SCHEMES):
        colours = "".join(
            f"--m-{name}-{part}:{values[scheme] or 'none'};"
            for name, style in STYLES.items()
            for part, values in (("fill", style.fill), ("stroke", _stroke(style)))
        )
        rules.append(f".modulus-es{where}{{{colours}}}")
    rules += [f".modulus-es .m-{name}{{{_rule(name, style)}}}" for name, style in STYLES.items()]
    return "\n".join(rules)


def _stroke(style: Style) -> tuple[str, str]:
    return STYLES["module"].fill if style.halo else style.stroke


def _rule(name: str, style: Style) -> str:
    rule = f"fill:var(--m-{name}-fill);stroke:var(--m-{name}-stroke);"
    if style.size:
        bold = "font-weight:bold;" if style.bold else ""
        halo = "stroke-width:3px;paint-order:stroke;" if style.halo else ""
        return f"{rule}font-size:{style.size:g}px;{bold}{halo}"
    dash = " ".join(f"{part:g}" for part in style.dash)
    return f"{rule}stroke-width:{style.width:g}px;" + (f"stroke-dasharray:{dash};" if dash else "")


def _text(name: str) -> str:
    return files("modulus_es.widgets").joinpath(name).read_text("utf-8")
