"""Dead letters, with deliveries that are committed in groups: the same rules hold."""

from __future__ import annotations

from test_dead_letters import *  # noqa: F403
