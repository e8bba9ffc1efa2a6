"""Tests of your own: given, when, then; contracts of stores and transports; fixtures.

`given` tests aggregates and modules, in pytest or in a notebook cell, and needs
neither. `modulus_es.testing.contracts` and `modulus_es.testing.fixtures` need
pytest.
"""

import sys

from modulus_es.testing.happenings import Happened, happened
from modulus_es.testing.scenario import given

__all__ = ["Happened", "given", "happened"]

if (_pytest := sys.modules.get("pytest")) is not None:
    # Before they are imported, so that a contract that fails shows what was compared.
    _pytest.register_assert_rewrite("modulus_es.testing.contracts")
