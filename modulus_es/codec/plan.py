"""One compiled type: how its values are checked, packed for JSON and unpacked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

Check = Callable[[Any], bool]
Pack = Callable[[Any, int], Any]
Unpack = Callable[[Any], Any]

# Reading takes up to five Python frames a level. This leaves room below CPython's
# default recursion limit, so that what was recorded can be read under a deep stack too.
MAX_DEPTH = 64
_SHOWN = 16


class MisfitError(Exception):
    """A value cannot be packed, or something read cannot be unpacked.

    The path is collected innermost first while the exception passes through
    the containers, so that a value that fits pays nothing for it.

    >>> MisfitError("is too long").at(".qty").at("[0]").path
    '[0].qty'
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
        self._parts: list[str] = []

    def at(self, part: str) -> MisfitError:
        """Add the part of the path that leads to where it was raised."""
        self._parts.append(part)
        return self

    @property
    def path(self) -> str:
        """The path so far, such as ``.items[0].qty``; a very long one is cut."""
        parts = self._parts[::-1]
        return "".join(parts if len(parts) <= _SHOWN else [*parts[:_SHOWN], "..."])


def misread(error: Exception) -> MisfitError:
    """Turn an error of msgspec's decoder into a misfit, with its path.

    >>> misread(ValueError("Expected `int`, got `str` - at `$.items[0].qty`")).path
    '.items[0].qty'
    """
    message, _, place = str(error).partition(" - at ")
    key, _, path = place.rpartition("`$")
    path = path.rstrip("`")
    if key:
        message = f"a key of it: {message}"
    if message.startswith("Object missing required field"):
        path += f".{message.split('`')[1]}"
        message += ": give it a default, or upcast what was recorded without it"
    return MisfitError(message).at(path)


class Plan:
    """How values of one type are checked, packed and unpacked.

    ``pack`` is complete: it checks everything and names what is wrong.
    ``exact`` and ``also`` are a fast way around it: where ``direct`` is true, a
    value of exactly the type ``exact`` (any type, where it is None) that
    ``also`` accepts can be given to msgspec as it is. ``unpack`` is None where
    msgspec, told ``wire``, yields the value itself. ``kinds`` are the JSON kinds
    it is written as, ``accepts`` the types it takes, ``tag`` its name in a
    tagged union, ``is_key`` whether JSON can say it as the key of an object,
    ``named`` whether its class is the one that its module knows by that name.
    """

    __slots__ = (
        "accepts",
        "also",
        "direct",
        "exact",
        "is_key",
        "kinds",
        "named",
        "pack",
        "tag",
        "unpack",
        "view",
        "wire",
    )

    def __init__(
        self,
        tag: str,
        accepts: Iterable[type],
        kinds: Iterable[str],
        *,
        wire: Any,
        pack: Pack,
        unpack: Unpack | None = None,
        direct: bool = False,
        also: Check | None = None,
        is_key: bool = False,
        named: bool = False,
    ) -> None:
        self.tag = tag
        self.accepts = frozenset(accepts)
        self.kinds = frozenset(kinds)
        self.exact = next(iter(self.accepts)) if len(self.accepts) == 1 else None
        self.wire = wire
        self.pack = pack
        self.unpack = unpack
        self.direct = direct
        self.also = also
        self.is_key = is_key
        self.named = named
        # A record's ``also`` in two halves: get the fields, test them.
        self.view: tuple[Callable[[Any], Any], Check] | None = None

    @property
    def check(self) -> Check:
        """The complete fast check; it says no to everything that must be packed."""
        exact, also = self.exact, self.also
        if not self.direct:
            return _never
        if exact is None:
            return also or _never
        if also is None:
            return lambda value: type(value) is exact
        return lambda value: type(value) is exact and also(value)

    def earlier(self, value: object) -> bool:
        """Whether a value is of an earlier definition of the class that is accepted.

        An aggregate made before a notebook cell was run again holds such values.
        """
        return self.named and any(is_redefinition(type(value), cls) for cls in self.accepts)

    def packed(self) -> Pack:
        """The fast check first, and the complete packing where it says no."""
        check, pack = self.check, self.pack
        if not self.direct:
            return pack

        def check_first(value: Any, depth: int) -> Any:
            try:
                if check(value):
                    return value
            except AttributeError:
                # An incomplete instance, which the complete way names.
                return pack(value, depth)
            return pack(value, depth)

        return check_first


def _never(value: object) -> bool:
    return False


def pack_each(packed: Pack, values: Iterable[Any], depth: int) -> list[Any]:
    """Pack the elements of a container, and name the index of one that does not fit."""
    result: list[Any] = []
    try:
        for value in values:
            result.append(packed(value, depth + 1))
    except MisfitError as misfit:
        raise misfit.at(f"[{len(result)}]") from misfit.__cause__
    return result


def unpack_each(unpack: Unpack, raw: Iterable[Any]) -> list[Any]:
    """Unpack the elements of a container, and name the index of one that does not fit."""
    result: list[Any] = []
    try:
        for value in raw:
            result.append(unpack(value))
    except MisfitError as misfit:
        raise misfit.at(f"[{len(result)}]") from misfit.__cause__
    return result


def is_redefinition(one: type, other: type) -> bool:
    """Whether two classes are definitions of one name in one module.

    >>> is_redefinition(int, int), is_redefinition(int, bool)
    (True, False)
    """
    return one.__module__ == other.__module__ and one.__qualname__ == other.__qualname__


def type_name(cls: type) -> str:
    """Name a class in a message, without what is before ``<locals>.``.

    >>> type_name(int)
    'int'
    """
    return cls.__qualname__.rpartition("<locals>.")[2]


def wrong_type(value: object, declared: str) -> MisfitError:
    """Say that a value's type is not the declared one."""
    found = type(value)
    name = type_name(found)
    if name == declared:
        name = f"{found.__module__}.{found.__qualname__}, another class of that name,"
    return MisfitError(
        f"is of type {name} where {declared} is declared; "
        "convert the value, or change the type hint"
    )


def too_deep() -> MisfitError:
    """Say that a value contains itself, or is nested beyond what can be read back."""
    return MisfitError(
        f"is nested more than {MAX_DEPTH} levels deep or contains itself; "
        "record a flatter value, such as ids instead of what they stand for"
    )


def key_part(key: object) -> str:
    """Show a key in a path, where it has a short and safe text.

    >>> key_part("a"), key_part(1.5)
    ("['a']", '[a float key]')
    """
    if type(key) is str:
        return f"[{key[:40]!r}]"
    if type(key) is int and key.bit_length() <= 64:
        return f"[{key}]"
    return f"[a {type_name(type(key))} key]"
