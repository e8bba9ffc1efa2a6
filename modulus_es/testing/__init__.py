"""Tests of your own: given, when, then; contracts of stores and transports; fixtures."""

import sys

if (_pytest := sys.modules.get("pytest")) is not None:
    # Before they are imported, so that a contract that fails shows what was compared.
    _pytest.register_assert_rewrite("modulus_es.testing.contracts")
