"""Runs, with deliveries that are committed in groups: the same rules hold."""

from __future__ import annotations

from test_run import *  # noqa: F403
