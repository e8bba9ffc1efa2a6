"""How often, and how long after each other, something is tried."""

from __future__ import annotations

from math import isfinite
from random import Random

import msgspec

from modulus_es.counts import whole

_CENTURY = 100 * 366 * 86400.0


class Retry(msgspec.Struct, frozen=True):
    """Attempts with exponentially growing waits between them.

    ``attempts`` counts the first one too. The waits are ``first``, ``first *
    factor``, ... seconds, none longer than ``longest``; ``jitter`` is the part
    of each wait, 0 to 1, that chance may take away.

    >>> retry = Retry()
    >>> [retry.wait(attempt) for attempt in range(1, 5)]
    [1.0, 2.0, 4.0, 8.0]
    >>> retry.is_last(5)
    True
    """

    attempts: int = 5
    first: float = 1.0
    factor: float = 2.0
    longest: float = 30.0
    jitter: float = 0.0

    def __post_init__(self) -> None:
        whole(self.attempts, "the number of attempts", 1)
        for name in ("first", "factor", "longest", "jitter"):
            number = getattr(self, name)
            if not isinstance(number, int | float) or not isfinite(number):
                raise TypeError(f"{name} is a finite number, not {number!r}")
        if self.first < 0 or self.factor < 1 or self.longest < 0:
            raise ValueError("waits are not negative, and do not shrink: factor is at least 1")
        if self.longest > _CENTURY:
            raise ValueError(f"no wait is longer than a century, and longest is {self.longest} s")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"jitter is a part of the wait, 0 to 1, not {self.jitter}")

    def is_last(self, attempt: int) -> bool:
        """Whether no attempt follows after attempt number ``attempt`` (from 1)."""
        return attempt >= self.attempts

    def wait(self, attempt: int, random: Random | None = None) -> float:
        """Seconds from the failure of attempt number ``attempt`` (from 1) to the next one."""
        # The exponent is bounded, so that a retry without end does not overflow.
        wait = min(self.longest, self.first * self.factor ** min(attempt - 1, 64))
        if self.jitter and random is not None:
            wait *= 1 - self.jitter * random.random()
        return wait
