"""Columns of tables, with dtypes that do not depend on what is in them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

_LONE = re.compile("[\ud800-\udfff]")


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

    return pd.Series([_whole(value) for value in values], dtype=object)


def _whole(value: Any) -> Any:
    """A JSON value without half surrogate pairs, which would break the notebook's file."""
    if isinstance(value, str):
        return value if value.isascii() else _LONE.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, dict):
        return {_whole(key): _whole(held) for key, held in value.items()}
    if isinstance(value, list):
        return [_whole(held) for held in value]
    return value
