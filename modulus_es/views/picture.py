"""How every picture shows itself: statically, with a text alternative and a table."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modulus_es.errors import ModulusError
from modulus_es.views.page import page
from modulus_es.views.scene import Scene
from modulus_es.views.svg import escaped, to_svg
from modulus_es.views.text import AS_IT_IS, shown

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROWS, _PAGE_ROWS = 200, 5_000
"""How many rows the table has at most, in a notebook and in a file; `to_frame` has them all."""

_DOTS = 4_000_000
"""How many dots the PNG in a notebook has at most; a file that is saved has more."""


class Picture:
    """What graph and timeline share: renderers, files, and how a notebook shows them.

    A subclass makes the scene, the summary, the text alternative and the table.
    """

    _explorer: Callable[[], Any] | None = None

    def explored_with(self, explorer: Callable[[], Any]) -> None:
        """Let `explore` answer what this makes: the live view of the picture's system."""
        self._explorer = explorer

    def explore(self) -> Any:
        """The live view of this picture, linked with the other one; see `System.explore`.

        Raises `ModulusError` for a picture that was not drawn of a system.
        """
        if self._explorer is None:
            raise ModulusError(
                "this picture was made of rows, and there is no system to explore: take it from "
                "system.graph() or system.timeline(), or call system.explore()"
            )
        return self._explorer()

    def scene(self) -> Scene:
        """The picture, before anybody draws it."""
        raise NotImplementedError

    def alt(self) -> str:
        """What the picture says, in words."""
        raise NotImplementedError

    def to_frame(self) -> pd.DataFrame:
        """What the picture shows, as a table."""
        raise NotImplementedError

    def table(self) -> tuple[Sequence[str], Sequence[Sequence[object]]]:
        """The heads and rows of the table below the picture."""
        raise NotImplementedError

    def to_svg(self, theme: str = "auto") -> str:
        """The picture as SVG, the same bytes on every run and machine.

        ``theme`` is light, dark, or auto: then it follows the reader's own.
        Raises ValueError for any other.
        """
        return to_svg(self.scene(), theme)

    def to_html(self) -> str:
        """The picture as HTML that runs nothing and asks nobody: an image and a table."""
        scene = self.scene()
        image = base64.b64encode(to_svg(scene).encode()).decode()
        return (
            '<div style="overflow:auto">'
            f'<img width="{scene.width}" height="{scene.height}" '
            # A picture that is a little too wide shrinks, one that is far too wide scrolls.
            f'style="max-width:100%;min-width:{scene.width * 4 // 5}px;height:auto" '
            f'alt="{escaped(self.alt())}" src="data:image/svg+xml;base64,{image}"></div>'
            f"{self._details()}"
        )

    def to_page(self, theme: str = "auto") -> str:
        """The picture as one HTML file that pans, zooms and filters without a kernel.

        Nothing but its own script runs in it, and it asks nobody for anything.
        ``theme`` is light, dark or auto, as that of `to_svg`.
        """
        drawn = to_svg(self.scene(), theme)
        return page(self.scene().title, drawn, self.alt(), self._details(_PAGE_ROWS), theme)

    def plot(self, ax: Axes | None = None, theme: str = "light") -> Figure:
        """The picture by matplotlib: in ``ax``, or in a new figure; answers the figure.

        ``theme`` is light or dark; raises ValueError for any other.
        """
        from modulus_es.views.figure import to_figure

        return to_figure(self.scene(), ax, theme=theme)

    def to_png(self, theme: str = "light") -> bytes:
        """The picture as PNG, by matplotlib; ``theme`` is light or dark."""
        from modulus_es.views.figure import to_bytes

        return to_bytes(self.scene(), theme=theme)

    def save(self, path: str | Path, theme: str = "auto") -> Path:
        """Write the picture to a file, as its suffix says: .svg, .png, .pdf or .html.

        Answers the path; ``graph.save("handlers.svg")`` is what a document takes,
        and ``graph.save("handlers.html")`` pans, zooms and filters in any browser.
        ``theme`` is light, dark, or auto: .svg and .html then follow the reader's
        own, .png and .pdf are light. Raises ValueError for any other suffix or theme.
        """
        from modulus_es.views.figure import to_bytes

        path = Path(path)
        printed = "light" if theme == "auto" else theme
        makers: dict[str, Callable[[], bytes]] = {
            ".svg": lambda: self.to_svg(theme).encode(),
            ".png": lambda: self.to_png(printed),
            ".pdf": lambda: to_bytes(self.scene(), "pdf", theme=printed),
            ".html": lambda: self.to_page(theme).encode(),
        }
        if path.suffix not in makers:
            raise ValueError(f"{path.name}: a picture is saved as {', '.join(makers)}")
        path.write_bytes(makers[path.suffix]())
        return path

    def _details(self, most: int = _ROWS) -> str:
        heads, rows = self.table()
        head = "".join(f'<th scope="col">{escaped(name)}</th>' for name in heads)
        lines = [
            "<tr>" + "".join(f"<td>{escaped(shown(str(value)))}</td>" for value in row) + "</tr>"
            for row in rows[:most]
        ]
        more = len(rows) - len(lines)
        rest = f"<p>and {more} more: see to_frame()</p>" if more > 0 else ""
        return (
            f'<details class="{AS_IT_IS}"><summary>As a table ({len(rows)} rows)</summary>'
            f"<table><thead><tr>{head}"
            f"</tr></thead><tbody>{''.join(lines)}</tbody></table>{rest}</details>"
        )

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """What a notebook shows: HTML, else the PNG, else the text."""
        from modulus_es.views.figure import to_bytes

        return {
            "text/html": self.to_html(),
            "image/png": base64.b64encode(to_bytes(self.scene(), dots=_DOTS)).decode(),
            "text/plain": repr(self),
        }
