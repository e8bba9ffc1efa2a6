"""What a cell that shows an explorer holds: the static pictures, and a place for the live one.

A widget view in an output is gone when the notebook is opened again: "model not
found". So the output is the static picture, which every reader understands, and
the explorer takes its place in the page as long as its kernel is alive.
"""

from __future__ import annotations

from modulus_es.views.svg import escaped


def place_of(key: str, pictures: str = "<div></div>") -> str:
    """The place that ``key`` names, if it names one, with the pictures that are shown there.

    >>> place_of("k", "<div>a picture</div>")
    '<div data-modulus-es="k"><div>a picture</div></div>'
    """
    named = f' data-modulus-es="{escaped(key)}"' if key else ""
    return f"<div{named}>{pictures}</div>"
