"""The tree of errors: what it is drawn as, and what the special ones carry."""

from __future__ import annotations

import inspect
import re

import pytest

from modulus_es import (
    ModulusError,
    PublishError,
    SimulatedCrash,
    StoreURLError,
    Success,
    System,
    TransportURLError,
    errors,
)

CLASSES = [
    cls
    for _, cls in inspect.getmembers(errors, inspect.isclass)
    if cls.__module__ == errors.__name__
]


def drawn() -> dict[str, int]:
    """The names in the drawing, each with how deep it stands."""
    found = {}
    for line in (errors.__doc__ or "").splitlines():
        if match := re.match(r"    ([ │├└─]*)([A-Z]\w+)", line):
            found[match[2]] = len(match[1]) // 4
    return found


def test_every_error_stands_in_the_drawing_as_deep_as_it_is() -> None:
    tree = {
        cls.__name__: cls.__mro__.index(ModulusError)
        for cls in CLASSES
        if issubclass(cls, ModulusError)
    }
    assert drawn() == tree


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_error_is_documented(cls: type) -> None:
    assert (cls.__doc__ or "").strip()


def test_a_crash_is_nothing_that_except_exception_catches() -> None:
    assert not issubclass(SimulatedCrash, Exception)
    assert issubclass(SimulatedCrash, BaseException)


def test_a_publish_error_keeps_its_result_when_it_is_split() -> None:
    group = PublishError("two failed", [ValueError("a"), KeyError("b")], Success(3))
    matching, rest = group.split(ValueError)
    assert isinstance(matching, PublishError)
    assert isinstance(rest, PublishError)
    assert matching.result == rest.result == Success(3)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_an_error_can_be_raised_with_its_message(cls: type[BaseException]) -> None:
    arguments: tuple[object, ...] = ("why",)
    if cls is PublishError:
        arguments = ("why", [ValueError("a")])
    if cls is SimulatedCrash:
        arguments = ("before_commit", "orders")
    with pytest.raises(cls, match=r"why|before_commit"):
        raise cls(*arguments)


@pytest.mark.parametrize("url", ["mysql://user:secret@host/db", "nonsense", "", "memory"])
def test_an_unknown_store_is_named_without_its_password(url: str) -> None:
    with pytest.raises(StoreURLError, match="memory://") as caught:
        System(store=url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["kafka://user:secret@host", "nonsense"])
def test_an_unknown_transport_is_named_without_its_password(url: str) -> None:
    with pytest.raises(TransportURLError, match="memory://") as caught:
        System(transport=url)
    assert "secret" not in str(caught.value)


def test_an_unknown_store_of_a_module_leaves_no_module() -> None:
    system = System(seed=7)
    with pytest.raises(StoreURLError):
        system.module("orders", store="nonsense://")
    assert system.modules == ()
