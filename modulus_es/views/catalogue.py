"""The event catalogue: every contract between the modules, and what would break one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from modulus_es.errors import DeserializationError
from modulus_es.views.catalogue_changes import Change, changes
from modulus_es.views.contracts import Contract
from modulus_es.views.svg import escaped
from modulus_es.views.text import AS_IT_IS, shown

if TYPE_CHECKING:
    import pandas as pd


class _Saved(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    contracts: tuple[Contract, ...]


_FORMAT = 1
# Notebooks set tables to the right, which is for numbers.
_LEFT = ' style="text-align:left;vertical-align:top"'
_HEADS = ("contract", "kind", "version", "fields", "published by", "consumed by")


class Catalogue:
    """The contracts of a system, in order of their names: events and commands.

    >>> from modulus_es.views.contracts import Field
    >>> catalogue = Catalogue([Contract("OrderCreated", 1, (Field("total", "int"),))])
    >>> catalogue
    Catalogue(1 contract)
    >>> catalogue["OrderCreated"].fields[0].name
    'total'
    >>> print(catalogue.to_text())
    OrderCreated, version 1
      total: int
      published by nobody; consumed by nobody
    >>> catalogue.to_html()[:53]
    '<table class="mathjax_ignore tex2jax_ignore"><caption'
    """

    def __init__(self, contracts: Iterable[Contract]) -> None:
        self.contracts = tuple(sorted(contracts, key=lambda contract: contract.name))

    def __getitem__(self, name: str) -> Contract:
        for contract in self.contracts:
            if contract.name == name:
                return contract
        raise KeyError(name)

    def __iter__(self) -> Iterator[Contract]:
        return iter(self.contracts)

    def __len__(self) -> int:
        return len(self.contracts)

    def to_json(self) -> str:
        """The catalogue as JSON: the same text for the same contracts, fit for a repository."""
        made = msgspec.to_builtins(_Saved(_FORMAT, self.contracts))
        return json.dumps(made, indent=2, ensure_ascii=False) + "\n"

    def save(self, file: str | Path) -> Path:
        """Write the catalogue to a file as JSON, to be compared later; answers the path.

        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     saved = Catalogue([]).save(Path(folder) / "catalogue.json")
        ...     Catalogue([]).check(saved)
        []
        """
        path = Path(file)
        path.write_text(self.to_json(), encoding="utf-8", newline="\n")
        return path

    def check(self, file: str | Path) -> list[Change]:
        """Every change since the catalogue in ``file`` that would break a consumer.

        That is a contract that is gone, has a lower version, or was an event and
        is a command; a field that was
        removed, renamed or retyped, has lost its default or was added without
        one; and a member of an enum that was added, removed or changed. What
        else was added passes. Raises `DeserializationError` where the file is no
        catalogue.
        """
        path = Path(file)
        try:
            saved = msgspec.json.decode(path.read_bytes(), type=_Saved)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise DeserializationError(
                f"{path.name} is no catalogue ({error}); write one with catalogue.save(...)"
            ) from None
        if saved.format != _FORMAT:
            raise DeserializationError(
                f"{path.name} is a catalogue of format {saved.format}, not {_FORMAT}; "
                "write it again with catalogue.save(...)"
            )
        return changes(saved.contracts, self.contracts)

    def to_text(self) -> str:
        """The catalogue as lines of text."""
        return "\n".join(line for contract in self.contracts for line in _lines(contract))

    def to_frame(self) -> pd.DataFrame:
        """A row for each field of each contract; a contract without any has one row."""
        import pandas as pd

        from modulus_es.views import columns

        rows = [
            (contract, field) for contract in self.contracts for field in contract.fields or (None,)
        ]
        return pd.DataFrame(
            {
                "contract": columns.text([contract.name for contract, _ in rows]),
                "kind": columns.text([contract.kind for contract, _ in rows]),
                "version": columns.integers([contract.version for contract, _ in rows]),
                "field": columns.text([field.name if field else None for _, field in rows]),
                "type": columns.text([field.type if field else None for _, field in rows]),
                "required": [bool(field and field.required) for _, field in rows],
                "publishers": columns.text([_published(contract) for contract, _ in rows]),
                "consumers": columns.text([_consumed(contract) for contract, _ in rows]),
            }
        ).astype({"required": "bool"})

    def to_html(self) -> str:
        """The catalogue as HTML that runs nothing: a table, and each contract's JSON Schema."""
        head = "".join(f'<th scope="col"{_LEFT}>{name}</th>' for name in _HEADS)
        rows = "".join(_row(contract) for contract in self.contracts)
        schemas = "".join(_schema(contract) for contract in self.contracts)
        return (
            f'<table class="{AS_IT_IS}">'
            f"<caption>Event catalogue: {_count(self.contracts)}</caption>"
            f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{schemas}"
        )

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """What a notebook shows: HTML, else the text."""
        return {"text/html": self.to_html(), "text/plain": self.to_text() or repr(self)}

    def __repr__(self) -> str:
        return f"Catalogue({_count(self.contracts)})"


def _count(contracts: tuple[Contract, ...]) -> str:
    return f"{len(contracts)} contract{'' if len(contracts) == 1 else 's'}"


def _published(contract: Contract) -> str:
    return ", ".join(contract.publishers) or "nobody"


def _consumed(contract: Contract) -> str:
    return ", ".join(f"{module} {handler}" for module, handler in contract.consumers) or "nobody"


def _fields(contract: Contract) -> list[str]:
    return [
        f"{shown(field.name)}: {shown(field.type)}{'' if field.required else ' (may be missing)'}"
        for field in contract.fields
    ]


def _lines(contract: Contract) -> Iterator[str]:
    said = f" - {shown(contract.description)}" if contract.description else ""
    kind = ", a command" if contract.kind == "command" else ""
    yield f"{shown(contract.name)}{kind}, version {contract.version}{said}"
    yield from (f"  {line}" for line in _fields(contract))
    for name, held in contract.types.items():
        inside = ", ".join(f"{shown(field.name)}: {shown(field.type)}" for field in held)
        yield f"  where {shown(name)} is {inside}"
    for name, members in contract.enums.items():
        inside = ", ".join(f"{shown(member)} = {shown(said)}" for member, said in members.items())
        yield f"  where {shown(name)} is {inside}"
    published, consumed = shown(_published(contract)), shown(_consumed(contract))
    if contract.kind == "command":
        yield f"  sent by {published}; handled by {consumed}"
    else:
        yield f"  published by {published}; consumed by {consumed}"


def _row(contract: Contract) -> str:
    fields = "<br>".join(escaped(line) for line in _fields(contract)) or "none"
    name = escaped(shown(contract.name))
    if contract.description:
        name += f"<br><small>{escaped(shown(contract.description))}</small>"
    cells = (
        contract.kind, str(contract.version), fields, escaped(shown(_published(contract))),
        escaped(shown(_consumed(contract))),
    )  # fmt: skip
    held = "".join(f"<td{_LEFT}>{cell}</td>" for cell in cells)
    return f'<tr><th scope="row"{_LEFT}>{name}</th>{held}</tr>'


def _schema(contract: Contract) -> str:
    made = json.dumps(contract.json_schema, indent=2, ensure_ascii=False)
    lines = "<br>".join(escaped(shown(line)) for line in made.split("\n"))
    return (
        f'<details class="{AS_IT_IS}">'
        f"<summary>JSON Schema of {escaped(shown(contract.name))}</summary>"
        f'<pre style="white-space:pre">{lines}</pre></details>'
    )
