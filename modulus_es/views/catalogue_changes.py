"""What changed between two catalogues that a consumer would notice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from modulus_es.views.contracts import Contract, Field


class Change(NamedTuple):
    """A change that would break a consumer.

    ``kind`` is gone, kind, version, removed, renamed, retyped, required, added
    or member; ``field`` is empty where the whole contract is meant.

    >>> print(Change("gone", "OrderCreated", "", "OrderCreated is gone"))
    OrderCreated is gone
    """

    kind: str
    contract: str
    field: str
    text: str

    def __str__(self) -> str:
        return self.text


_A = {"event": "an event", "command": "a command"}


def changes(before: Iterable[Contract], after: Iterable[Contract]) -> list[Change]:
    """Every change that would break a consumer; what was only added passes.

    >>> old = Contract("OrderCreated", 1, (Field("total", "int"), Field("note", "str")))
    >>> new = Contract("OrderCreated", 1, (Field("total", "Decimal"),))
    >>> for change in changes([old], [new]):
    ...     print(change)
    OrderCreated.total was int and is Decimal
    OrderCreated.note was removed
    """
    now = {contract.name: contract for contract in after}
    return [change for old in before for change in _of_contract(old, now.get(old.name))]


def _of_contract(old: Contract, new: Contract | None) -> Iterator[Change]:
    name = old.name
    if new is None:
        yield Change("gone", name, "", f"{name} is gone")
        return
    if new.kind != old.kind:
        yield Change("kind", name, "", f"{name} was {_A[old.kind]} and is {_A[new.kind]}")
    if new.version < old.version:
        said = f"{name} was version {old.version} and is version {new.version}"
        yield Change("version", name, "", said)
    yield from _of_fields(name, "", old.fields, new.fields)
    for type_, held in old.types.items():
        if type_ in new.types:
            yield from _of_fields(name, type_, held, new.types[type_])
    for type_, members in old.enums.items():
        if type_ in new.enums:
            yield from _of_enum(name, type_, members, new.enums[type_])


def _of_enum(
    contract: str, type_: str, old: Mapping[str, str], new: Mapping[str, str]
) -> Iterator[Change]:
    for name in {**old, **new}:
        before, now = old.get(name), new.get(name)
        if before == now:
            continue
        became = f"was {before} and is {now}"
        if now is None:
            became = "was removed"
        elif before is None:
            became = "was added, and a consumer does not know it"
        yield Change("member", contract, f"{type_}.{name}", f"{contract}: {type_}.{name} {became}")


def _of_fields(
    contract: str, type_: str, old: Sequence[Field], new: Sequence[Field]
) -> Iterator[Change]:
    before, now = {f.name for f in old}, {f.name: f for f in new}
    added = [field for field in new if field.name not in before]
    renamed = _renamed([field for field in old if field.name not in now], added)

    def change(kind: str, field: Field, became: str) -> Change:
        name = f"{type_}.{field.name}" if type_ else field.name
        said = f"{contract}: {name}" if type_ else f"{contract}.{name}"
        return Change(kind, contract, name, f"{said} {became}")

    for field in old:
        found = now.get(field.name)
        if field.name in renamed:
            yield change("renamed", field, f"was renamed to {renamed[field.name]}")
        elif found is None:
            yield change("removed", field, "was removed")
        elif found.type != field.type:
            yield change("retyped", field, f"was {field.type} and is {found.type}")
        elif found.required and not field.required:
            yield change("required", field, "had a default and is required now")
    for field in added:
        if field.required and field.name not in renamed.values():
            became = "was added without a default, and older messages do not have it"
            yield change("added", field, became)


def _renamed(removed: Sequence[Field], added: Sequence[Field]) -> dict[str, str]:
    """The fields that seem to have another name now: those alone of their type on both sides."""
    found = {}
    for field in removed:
        alike = [other for other in added if other.type == field.type]
        if len(alike) == 1 and sum(other.type == field.type for other in removed) == 1:
            found[field.name] = alike[0].name
    return found
