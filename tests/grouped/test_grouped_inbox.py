"""The inbox, with deliveries that are committed in groups: the same rules hold."""

from __future__ import annotations

from test_inbox import *  # noqa: F403
