"""What asks a page never waits for ever, and says what it waited for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from asking import ask, sees

pytestmark = [pytest.mark.slow, pytest.mark.browser]


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """An empty page of its own."""
    context = browser.new_context()
    yield context.new_page()
    context.close()


def test_an_answer_is_that_of_an_expression_a_function_or_a_promise(page: Any) -> None:
    assert ask(page, "1 + 1") == 2
    assert ask(page, "(n) => n + 1", 2) == 3
    assert ask(page, "async (n) => [n, null]", "a") == ["a", None]


def test_a_promise_that_nobody_keeps_is_an_error_that_says_what_was_waited_for(page: Any) -> None:
    with pytest.raises(Exception, match="waited 1 s for the kernel"):
        ask(page, "new Promise(() => {})", what="the kernel", seconds=1)


def test_a_page_that_computes_for_ever_is_given_up(page: Any) -> None:
    with pytest.raises(AssertionError, match="the page hangs: waited 6 s for an end"):
        ask(page, "() => { while (true); }", what="an end", seconds=1)


def test_a_condition_that_never_holds_is_named(page: Any) -> None:
    with pytest.raises(AssertionError, match=r"did not become true: window\.hope with 7"):
        sees(page, "window.hope", 7, seconds=0.2)


def test_an_error_of_the_script_is_the_error(page: Any) -> None:
    with pytest.raises(Exception, match="no such thing"):
        ask(page, "() => { throw new Error('no such thing'); }")
