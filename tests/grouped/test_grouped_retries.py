"""Retries, with deliveries that are committed in groups: the same rules hold."""

from __future__ import annotations

from test_retries import *  # noqa: F403
