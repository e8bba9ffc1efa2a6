"""How many examples a property is tried on."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

FACTOR = float(os.environ.get("MODULUS_ES_EXAMPLES", "1"))
"""``MODULUS_ES_EXAMPLES=20`` looks twenty times as long as usual, and at examples of its own."""


def examples(count: int, **said: object) -> settings:
    """So many examples, or what the profile (of `make test-quick`) and the environment make of it.

    The same ones each time, as long as the environment asks for no more: continuous
    integration judges the code, not the luck of the draw.
    """
    usual = settings.default.max_examples / 100 if settings.default else 1
    return settings(
        max_examples=max(5, int(count * FACTOR * usual)),
        derandomize=FACTOR <= 1,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        **said,  # type: ignore[arg-type]
    )
