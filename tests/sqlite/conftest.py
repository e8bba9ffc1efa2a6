"""Make the helpers beside these tests importable, and give each test a file of its own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from shop import Shop


@pytest.fixture
def url(tmp_path: Path) -> str:
    """The URL of a store that is not there yet."""
    return f"sqlite:///{tmp_path}/shop.db"


@pytest.fixture
def open_shop(url: str) -> Iterator[Callable[..., Shop]]:
    """Opens the shop, again and again; all of them are closed in the end."""
    opened: list[Shop] = []

    def open_it(store: str = url, **options: Any) -> Shop:
        shop = Shop(store, **options)
        opened.append(shop)
        return shop

    yield open_it
    for shop in opened:
        shop.system.close()


@pytest.fixture
def shop(open_shop: Callable[..., Shop]) -> Shop:
    """A shop in a new file."""
    return open_shop()
