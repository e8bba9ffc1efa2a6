"""Fast tests over the fields of a record, composed once from their plans.

They decide for nearly every value, so they cost what they cost in every event.
The tests for two to four fields are written out: a loop, or a comparison of
``map(type, values)``, takes three times as long.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from modulus_es.codec.plan import Check, Plan

Getter = Callable[[Any], tuple[Any, ...]]
Rest = Sequence[tuple[int, Check]]


def fields_getter(names: Sequence[str], getter: Callable[..., Callable[[Any], Any]]) -> Getter:
    """Get several items or attributes as a tuple, which one alone is not by itself.

    >>> from operator import itemgetter
    >>> fields_getter(["a"], itemgetter)({"a": 1, "b": 2})
    (1,)
    """
    if len(names) > 1:
        return getter(*names)
    if not names:
        return lambda record: ()
    only = getter(*names)
    return lambda record: (only(record),)


def fields_test(plans: Sequence[Plan]) -> Check:
    """Compose the test of a tuple of fields, all of which have direct plans."""
    types = [plan.exact for plan in plans]
    rest = [(index, plan.also) for index, plan in enumerate(plans) if plan.also is not None]
    if None not in types and 2 <= len(plans) <= 4:
        return (_two, _three, _four)[len(plans) - 2](types, rest)
    return _any_number(types, rest)


def elements_test(item: Plan) -> Check:
    """Compose the test of all elements of a container, which have a direct plan."""
    exact, also, view = item.exact, item.also, item.view
    if exact is None:
        check = item.check
        return lambda values: all(map(check, values))
    if also is None:
        types = {exact}
        return lambda values: types.issuperset(map(type, values))
    get, test = view or (_itself, also)

    def test_elements(values: Any) -> bool:
        for value in values:
            if type(value) is not exact or not test(get(value)):
                return False
        return True

    return test_elements


def _itself(value: Any) -> Any:
    return value


def _any_number(types: Sequence[type | None], rest: Rest) -> Check:
    exact = [(index, cls) for index, cls in enumerate(types) if cls is not None]

    def test(values: Any) -> bool:
        for index, cls in exact:
            if type(values[index]) is not cls:
                return False
        for index, also in rest:
            if not also(values[index]):
                return False
        return True

    return test


def _two(types: Sequence[type | None], rest: Rest) -> Check:
    first, second = types

    def test(values: Any) -> bool:
        a, b = values
        if type(a) is not first or type(b) is not second:
            return False
        for index, also in rest:
            if not also(values[index]):
                return False
        return True

    return test


def _three(types: Sequence[type | None], rest: Rest) -> Check:
    first, second, third = types

    def test(values: Any) -> bool:
        a, b, c = values
        if type(a) is not first or type(b) is not second or type(c) is not third:
            return False
        for index, also in rest:
            if not also(values[index]):
                return False
        return True

    return test


def _four(types: Sequence[type | None], rest: Rest) -> Check:
    first, second, third, fourth = types

    def test(values: Any) -> bool:
        a, b, c, d = values
        if type(a) is not first or type(b) is not second:
            return False
        if type(c) is not third or type(d) is not fourth:
            return False
        for index, also in rest:
            if not also(values[index]):
                return False
        return True

    return test
