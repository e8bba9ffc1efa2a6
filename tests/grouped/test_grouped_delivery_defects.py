"""What once went wrong, with deliveries that are committed in groups: the same rules hold."""

from __future__ import annotations

from test_delivery_defects import *  # noqa: F403
