"""How wide text is, and what of it is shown, without asking any font.

Widths are those of DejaVu Sans, which is at least as wide as Arial, Helvetica
and Roboto, so that text fits its box whichever of them a reader has. They are a
table, so that a picture has the same bytes everywhere.
"""

from __future__ import annotations

import re

# Thousandths of the font size, for the characters from space to tilde.
_WIDTHS = (
    318, 401, 460, 838, 636, 950, 780, 275, 390, 390, 500, 838, 318, 361, 318, 337,
    636, 636, 636, 636, 636, 636, 636, 636, 636, 636, 337, 337, 838, 838, 838, 531,
    1000, 684, 686, 722, 770, 667, 611, 778, 752, 295, 500, 667, 557, 863, 748, 787,
    667, 787, 722, 667, 611, 732, 684, 989, 685, 667, 685, 390, 337, 390, 838, 556, 500,
    613, 635, 550, 635, 615, 352, 635, 634, 278, 278, 579, 278, 974, 634, 612,
    635, 635, 411, 521, 392, 634, 592, 818, 592, 592, 525, 636, 337, 636, 838,
)  # fmt: skip
_LETTER, _WIDE, _BOLD = 780, 1000, 1.13

AS_IT_IS = "mathjax_ignore tex2jax_ignore"
"""The classes of HTML in which notebooks leave dollar signs alone, instead of reading TeX."""

_LIMIT = 200
"""How much of a text is shown, where nobody says otherwise."""

# What would be invisible, would reorder the text around it, or may not stand in XML.
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202f\u205f-\u206f\u3164"
    "\ud800-\udfff\ufdd0-\ufdef\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\U000e0000-\U000e0fff"
    + "".join(
        f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(1 << 16, 17 << 16, 1 << 16)
    )
    + "]"
)
# Marks that a letter carries; a third one on the same letter would pile up over other things.
_MARK = (
    "[\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u0610-\u061a\u064b-\u065f"
    "\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
)
_PILE = re.compile(f"(?<={_MARK}{_MARK}){_MARK}")


def shown(text: str, limit: int = _LIMIT) -> str:
    r"""``text`` as a picture shows it: what cannot be seen is spelled out, what is long is cut.

    The number is how many characters were cut.

    >>> shown("tab\there, bell\a, mirrored\u202e")
    'tab\\there, bell\\x07, mirrored\\u202e'
    >>> shown("abcdefgh", limit=3)
    'abc… +5'
    """
    more = len(text) - limit
    text = _PILE.sub(_spelled, _UNSEEN.sub(_spelled, text[:limit]))
    return f"{text}… +{more}" if more > 0 else text


def _spelled(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


def width_of(text: str, size: float, *, bold: bool = False) -> float:
    """About how wide ``text`` is, rather too wide than too narrow.

    >>> width_of("Order", 10) < width_of("Order", 10, bold=True) < width_of("ORDER", 10, bold=True)
    True
    """
    thousandths = 0
    for character in text:
        code = ord(character)
        if 32 <= code < 127:
            thousandths += _WIDTHS[code - 32]
        elif code < 0x1100 and code != 0x2026:
            thousandths += _LETTER
        else:
            thousandths += _WIDE
    return thousandths * size * (_BOLD if bold else 1) / 1000


def is_plain(text: str) -> bool:
    """Whether the widths of all these characters are known well enough to rely on."""
    return all(character < "\u0530" or character in "…·" for character in text)


def fitted(text: str, width: float, size: float, *, bold: bool = False) -> str:
    """``text`` as far as it fits into ``width``; the number is how many characters were cut.

    >>> fitted("ReserveStockForOrder", 90, 12), fitted("Order", 90, 12)
    ('Reserv… +14', 'Order')
    """
    whole = shown(text)
    if width_of(whole, size, bold=bold) <= width:
        return whole
    body = shown(text[:_LIMIT])
    more = len(body) + max(0, len(text) - _LIMIT)
    room = width - width_of(f"… +{more}", size, bold=bold)
    kept = 0
    for character in body:
        room -= width_of(character, size, bold=bold)
        if room < 0:
            break
        kept += 1
    return f"{body[:kept]}… +{more - kept}"
