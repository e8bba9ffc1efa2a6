"""One compiled type: how its values are checked, packed for JSON and unpacked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Check = Callable[[Any], bool]
Pack = Callable[[Any, int], Any]
Unpack = Callable[[Any], Any]

# Reading takes about four Python frames a level, so this leaves room below
# CPython's default recursion limit even when a deep stack calls the codec.
MAX_DEPTH = 100


class Fault(Exception):
    """A value cannot be packed, or something read cannot be unpacked.

    The path is collected innermost first while the exception passes through
    the containers, so that the fast path pays nothing for it.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
        self.parts: list[str] = []

    def at(self, part: str) -> Fault:
        """Add the part of the path that leads to where it was raised."""
        self.parts.append(part)
        return self

    @property
    def path(self) -> str:
        """The collected path, such as ``.items[0].qty``."""
        return "".join(reversed(self.parts))


class Plan:
    """How values of one type are checked, packed and unpacked.

    ``pack`` is complete: it checks everything and names what is wrong.
    ``exact`` and ``also`` are a fast way around it. Where ``direct`` is true, a
    value of exactly the type ``exact`` (any type, where it is None) that
    ``also`` accepts can be given to msgspec as it is. ``unpack`` is None where
    msgspec, told ``wire``, yields the value itself.
    """

    __slots__ = (
        "accepts",
        "also",
        "direct",
        "dynamic",
        "exact",
        "is_key",
        "kinds",
        "pack",
        "tag",
        "unpack",
        "wire",
    )

    def __init__(
        self,
        *,
        tag: str,
        accepts: frozenset[type],
        kinds: str,
        wire: Any,
        pack: Pack,
        unpack: Unpack | None = None,
        direct: bool = False,
        also: Check | None = None,
        is_key: bool = False,
        dynamic: bool = False,
    ) -> None:
        self.tag = tag
        self.accepts = accepts
        self.exact = next(iter(accepts)) if len(accepts) == 1 else None
        self.kinds = frozenset(kinds.split())
        self.wire = wire
        self.pack = pack
        self.unpack = unpack
        self.direct = direct
        self.also = also
        self.is_key = is_key
        self.dynamic = dynamic

    @property
    def check(self) -> Check | None:
        """The complete fast check, or None where every value must be packed."""
        if not self.direct:
            return None
        exact, also = self.exact, self.also
        if exact is None:
            return also
        if also is None:
            return lambda value: type(value) is exact
        return lambda value: type(value) is exact and also(value)

    def earlier(self, value: object) -> bool:
        """Whether a value is of an earlier definition of a class that is accepted."""
        return any(is_redefinition(type(value), cls) for cls in self.accepts)

    def packed(self) -> Pack:
        """The fast check first, and the complete packing where it says no."""
        check, pack = self.check, self.pack
        if check is None:
            return pack
        return lambda value, depth: value if check(value) else pack(value, depth)


def is_redefinition(one: type, other: type) -> bool:
    """Whether two classes are definitions of one name in one module.

    >>> is_redefinition(int, int), is_redefinition(int, bool)
    (True, False)
    """
    return (
        one.__module__ == other.__module__
        and one.__qualname__ == other.__qualname__
        and "<locals>" not in one.__qualname__
    )


def type_name(cls: type) -> str:
    """Name a class in a message, without what is before ``<locals>.``.

    >>> type_name(int)
    'int'
    """
    return cls.__qualname__.rpartition("<locals>.")[2]


def wrong_type(value: object, declared: str) -> Fault:
    """Say that a value's type is not the declared one."""
    found = type(value)
    name = type_name(found)
    if name == declared:
        name = f"{found.__module__}.{found.__qualname__}, another class of that name"
    return Fault(
        f"is of type {name} where {declared} is declared; "
        "convert the value, or change the type hint"
    )


def too_deep() -> Fault:
    """Say that a value contains itself, or is nested beyond what can be read back."""
    return Fault(
        f"is nested more than {MAX_DEPTH} levels deep or contains itself; "
        "record a flatter value, such as ids instead of what they stand for"
    )
