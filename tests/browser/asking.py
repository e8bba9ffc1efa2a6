"""Asks a page, and never for longer than was said: what was waited for is in the error.

`page.evaluate` has no timeout of its own: a promise that nobody keeps, or a page that computes
for ever, would hold up the whole run.
"""

from __future__ import annotations

from typing import Any

WITHIN = """
const within = (promise, what, seconds) => {
  let timer = 0;
  const late = new Promise((_, no) => {
    timer = setTimeout(() => no(new Error(`waited ${seconds} s for ${what}`)), seconds * 1000);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
};
"""
"""For the scripts of a page: a promise, or an error that says what was waited for."""

SPARE = 5
"""Seconds more until it is the browser's driver that gives up, as where a page hangs."""


def ask(
    page: Any, script: str, argument: Any = None, *, what: str = "an answer", seconds: float = 60
) -> Any:
    """What an expression, or a function of ``argument``, is in a page once its promise is kept."""
    from playwright.sync_api import TimeoutError as Late

    # What `wait_for_function` waits for ends with its timeout, even where the page hangs.
    asked = f"""async ([argument, what, seconds]) => {{ {WITHIN}
        // An error comes back as a value: a rejection that is asked for later is one of the page's.
        try {{
            const said = ({script.strip().rstrip(";")});
            const promise = typeof said === "function" ? said(argument) : said;
            return {{ value: await within(promise, what, seconds) }};
        }} catch (error) {{
            return {{ error: String(error?.stack ?? error) }};
        }}
    }}"""
    try:
        held = page.wait_for_function(
            asked, arg=[argument, what, seconds], timeout=1000 * (seconds + SPARE), polling=1000
        )
    except Late:
        raise AssertionError(f"the page hangs: waited {seconds + SPARE} s for {what}") from None
    answer = held.json_value()
    assert "error" not in answer, answer["error"]
    return answer.get("value")


def sees(page: Any, condition: str, argument: Any = None, *, seconds: float = 30) -> None:
    """Wait until an expression, or a function of ``argument``, is true in a page."""
    from playwright.sync_api import TimeoutError as Late

    try:
        page.wait_for_function(condition, arg=argument, timeout=1000 * seconds)
    except Late:
        told = f" with {argument!r}" if argument is not None else ""
        raise AssertionError(f"in {seconds} s it did not become true: {condition}{told}") from None
