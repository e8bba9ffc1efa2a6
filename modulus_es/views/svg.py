"""The SVG that a scene becomes: written by hand, the same bytes on every machine.

No text reaches the picture but through `escaped`, no number but through
`number`, and no other element or attribute is ever written than those below.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from modulus_es.views.scene import Group, Label, Path, Scene, Shape
from modulus_es.views.text import shown
from modulus_es.views.theme import FONT, STYLES, Style

_TITLE = 400
"""How much of a picture's title is shown."""
_NOT_XML = re.compile("[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MARKUP = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"}
_SPACE = {ord(space): " " for space in "\t\n\r"}
_ESCAPE = str.maketrans(_MARKUP)


def escaped(text: str) -> str:
    r"""``text`` for an element or a quoted attribute of XML and HTML.

    What may not stand in XML (control characters, half a surrogate pair) becomes
    U+FFFD, and white space becomes spaces, as it would in an attribute.

    >>> escaped('<b title="x">&')
    '&lt;b title=&quot;x&quot;&gt;&amp;'
    """
    return _NOT_XML.sub("\ufffd", text.translate(_SPACE)).translate(_ESCAPE)


def number(value: float) -> str:
    """At most two decimals, and neither an exponent nor a minus zero.

    >>> number(2.0), number(1 / 3), number(-0.001)
    ('2', '0.33', '0')
    """
    # Rounded in whole hundredths: the text of an int is the same everywhere.
    hundredths = round(value * 100)
    whole, rest = divmod(abs(hundredths), 100)
    sign = "-" if hundredths < 0 else ""
    return sign + (f"{whole}.{rest:02d}".rstrip("0") if rest else str(whole))


def to_svg(scene: Scene, theme: str = "auto") -> str:
    """The scene as SVG; ``theme`` is light, dark, or auto, which follows the reader's."""
    if theme not in ("auto", "light", "dark"):
        raise ValueError(f"a theme is auto, light or dark, not {theme!r}")
    width, height, title = scene.width, scene.height, escaped(shown(scene.title, _TITLE))
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{title}">',
        f"<title>{title}</title>",
        f"<style>{_css(_used(scene), theme)}</style>",
        f'<path class="m-paper" d="M0 0H{width}V{height}H0Z"/>',
    ]
    for item in scene.items:
        lines.extend(_item(item))
    return "\n".join([*lines, "</svg>\n"])


def _item(item: Shape | Label | Group) -> Iterator[str]:
    if isinstance(item, Shape):
        width = "" if item.width is None else f' style="stroke-width:{number(item.width)}"'
        yield f'<path class="m-{item.style}"{width} d="{_path(item.path)}"/>'
    elif isinstance(item, Label):
        anchor = "" if item.anchor == "start" else f' text-anchor="{item.anchor}"'
        fit = (
            ""
            if item.fit is None
            else (f' textLength="{number(item.fit)}" lengthAdjust="spacingAndGlyphs"')
        )
        yield (
            f'<text class="m-{item.style}" x="{number(item.x)}" y="{number(item.y)}"{anchor}{fit}>'
            f"{escaped(item.text)}</text>"
        )
    else:
        key = f' data-key="{escaped(shown(item.key))}"' if item.key else ""
        yield f"<g{key}>"
        if item.title:
            yield f"<title>{escaped(item.title)}</title>"
        for part in item.items:
            yield from _item(part)
        yield "</g>"


def _path(path: Path) -> str:
    return "".join(
        f"{letter}{' '.join(number(float(value)) for value in values)}" for letter, *values in path
    )


def _used(scene: Scene) -> list[str]:
    used = {"paper"}
    for item in scene.items:
        used.update(part.style for part in (item.items if isinstance(item, Group) else (item,)))
    return [name for name in STYLES if name in used]


def _css(names: list[str], theme: str) -> str:
    first = 1 if theme == "dark" else 0
    rules = [f"text{{font-family:{','.join(_quoted(name) for name in FONT)}}}"]
    for name in names:
        style = STYLES[name]
        rules.append(f".m-{name}{{{_colours(style, first)}{_lines(style)}}}")
    if theme == "auto":
        dark = "".join(f".m-{name}{{{_colours(STYLES[name], 1)}}}" for name in names)
        rules.append(f"@media (prefers-color-scheme:dark){{{dark}}}")
    return "".join(rules)


def _quoted(font: str) -> str:
    return f"'{font}'" if " " in font else font


def _colours(style: Style, scheme: int) -> str:
    stroke = STYLES["module"].fill[scheme] if style.halo else style.stroke[scheme]
    return f"fill:{style.fill[scheme] or 'none'};" + (f"stroke:{stroke};" if stroke else "")


def _lines(style: Style) -> str:
    if style.size:
        said = f"font-size:{number(style.size)}px;" + ("font-weight:bold;" if style.bold else "")
        return said + ("stroke-width:3;paint-order:stroke;" if style.halo else "")
    said = f"stroke-width:{number(style.width)};" if style.stroke[0] else ""
    if style.dash:
        said += f"stroke-dasharray:{' '.join(number(part) for part in style.dash)};"
    return said
