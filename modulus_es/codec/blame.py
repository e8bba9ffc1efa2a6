"""Find what msgspec would not write, after the fast way let it pass.

Text with lone surrogates and integers of thousands of digits are too rare to
look for in every value; msgspec refuses them without saying where they are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import msgspec

from modulus_es.codec.plan import MisfitError, key_part
from modulus_es.codec.scalars import SCALARS

_to_json = msgspec.json.Encoder().encode


def blame(packed: Any) -> MisfitError:
    r"""Name the innermost part of a packed value that cannot be written.

    >>> blame({"a": [1, "\ud800"]}).path
    "['a'][1]"
    """
    for part, held in _parts(packed):
        if not _is_written(held):
            return blame(held).at(part)
    plan = SCALARS.get(type(packed))
    try:
        if plan is not None:
            plan.pack(packed, 0)
        _to_json(packed)
    except MisfitError as misfit:
        return misfit
    except Exception as error:
        return MisfitError(f"cannot be written ({error}); correct the value")
    return MisfitError("cannot be written; correct the value")


def _is_written(packed: Any) -> bool:
    try:
        _to_json(packed)
    except Exception:
        return False
    return True


def _parts(packed: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(packed, msgspec.Struct):
        yield from ((f".{name}", getattr(packed, name)) for name in packed.__struct_fields__)
    elif dataclasses.is_dataclass(packed):
        yield from (
            (f".{field.name}", getattr(packed, field.name)) for field in dataclasses.fields(packed)
        )
    elif isinstance(packed, dict):
        for key, held in packed.items():
            yield key_part(key), key
            yield key_part(key), held
    elif isinstance(packed, list | tuple):
        yield from ((f"[{index}]", held) for index, held in enumerate(packed))
