"""How many of what, in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

# What does not take an s; an adjective has no plural at all.
_PLURALS = {
    "crash": "crashes",
    "dead": "dead",
    "done": "done",
    "failed": "failed",
    "query": "queries",
    "recorded": "recorded",
    "retry": "retries",
}


def plural(word: str) -> str:
    """The word for any number but one.

    >>> plural("retry"), plural("edge"), plural("dead")
    ('retries', 'edges', 'dead')
    """
    return _PLURALS.get(word, f"{word}s")


def counted(count: int, word: str) -> str:
    """So many of these.

    >>> counted(1, "retry"), counted(1200, "retry")
    ('1 retry', '1,200 retries')
    """
    return f"{count:,} {word if count == 1 else plural(word)}"


def all_counted(counts: Mapping[str, int], words: Iterable[str]) -> list[str]:
    """So many of each of these, in this order, without those that there are not.

    >>> all_counted({"done": 2, "crash": 1, "dead": 0}, ("done", "dead", "crash"))
    ['2 done', '1 crash']
    """
    return [counted(counts[word], word) for word in words if counts.get(word)]
