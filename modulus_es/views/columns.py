"""Columns of tables, with dtypes that do not depend on what is in them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, cast

_LONE = re.compile("[\ud800-\udfff]")
_CHUNK = 10_000


def text(values: Sequence[str | None]) -> Any:
    """Text; None becomes NaN, and half a surrogate pair U+FFFD.

    >>> text(["a", None])
    <StringArray>
    ['a', nan]
    Length: 2, dtype: str
    """
    import pandas as pd

    # Where pandas keeps text in Arrow, half a surrogate pair is refused; where it
    # does not, it breaks the notebook's file. So it is replaced everywhere.
    try:
        "".join(filter(None, values)).encode()
    except UnicodeEncodeError:
        values = [value and _LONE.sub("\N{REPLACEMENT CHARACTER}", value) for value in values]
    return pd.array(values, dtype="str")


def repeated_text(values: Sequence[str | None]) -> Any:
    """Text of which much is said more than once: each is kept once.

    >>> said = repeated_text(["".join(("a", "b")), "".join(("a", "b"))])
    >>> said[0] is said[1]
    True
    """
    known: dict[str | None, str | None] = {}
    return text([known.setdefault(value, value) for value in values])


def integers(values: Sequence[int]) -> Any:
    """Whole numbers of 64 bits.

    >>> integers([]).dtype
    dtype('int64')
    """
    import numpy as np

    return np.array(values, dtype="int64")


def times(values: Sequence[datetime | None]) -> Any:
    """Times in UTC, to the microsecond; None becomes NaT.

    >>> times([None]).dtype
    datetime64[us, UTC]
    """
    import pandas as pd

    made: Any = pd.to_datetime(cast("list[datetime]", values), utc=True)
    return pd.DatetimeIndex(made).as_unit("us")


def objects(values: Sequence[Any]) -> Any:
    """Whatever the values are; half a surrogate pair in their text becomes U+FFFD.

    >>> objects([[1, 2]])[0]
    [1, 2]
    """
    import pandas as pd

    return pd.Series([_whole(value) for value in values], dtype=object).array


def gathered(
    rows: Iterable[Sequence[Any]], **makers: Callable[[Sequence[Any]], Any]
) -> dict[str, Any]:
    """The columns of rows, which are let go as they are read: a table may have millions.

    ``makers`` say of each value in a row which column it belongs to, and what makes that.

    >>> gathered([(1, "a"), (2, "b")], number=integers, letter=text)["number"]
    array([1, 2])
    """
    coming = iter(rows)
    parts: dict[str, list[Any]] = {name: [] for name in makers}
    while True:
        chunk = list(islice(coming, _CHUNK))
        of_columns = zip(*chunk, strict=True) if chunk else [()] * len(makers)
        for (name, make), values in zip(makers.items(), of_columns, strict=True):
            parts[name].append(make(values))
        if len(chunk) < _CHUNK:
            break
    # One after the other, so that no more than one is there twice.
    return {name: _joined(parts.pop(name)) for name in makers}


def _joined(parts: list[Any]) -> Any:
    import pandas as pd

    if len(parts) == 1:
        return parts[0]
    return pd.concat([pd.Series(part) for part in parts], ignore_index=True).array


def _whole(value: Any) -> Any:
    """A JSON value without half surrogate pairs, which would break the notebook's file."""
    if isinstance(value, str):
        return value if value.isascii() else _LONE.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, dict):
        return {_whole(key): _whole(held) for key, held in value.items()}
    if isinstance(value, list):
        return [_whole(held) for held in value]
    return value
