"""The marks: what a row has to reach, and whether it does."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mark:
    """What ``row`` has to reach.

    ``what`` is cost (it takes at most ``limit`` times as long as ``against``),
    faster (it is at least ``limit`` times as fast as ``against``), rate (it does
    at least ``limit`` units a second) or within (all of it takes at most
    ``limit`` seconds).
    """

    row: str
    what: str
    limit: float
    against: str = ""

    def __str__(self) -> str:
        if self.what == "rate":
            return f"{self.row}: at least {self.limit:,.0f} /s"
        if self.what == "within":
            return f"{self.row}: within {self.limit:g} s"
        if self.what == "faster":
            return f"{self.row}: at least {self.limit:g} x as fast as {self.against}"
        return f"{self.row}: at most {self.limit:g} x {self.against}"

    def met(self, figure: float) -> bool:
        """Whether a figure reaches it."""
        return figure <= self.limit if self.what in ("cost", "within") else figure >= self.limit
