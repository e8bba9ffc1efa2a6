"""What a command or query answers: a `Success` with a value or a `Failure` with errors.

A failure is an answer, not an accident: "out of stock" is a `Failure`, a lost
database connection is an exception.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, Literal, TypeAlias, TypeVar, cast

import msgspec

from modulus_es.errors import ResultError

T = TypeVar("T")
U = TypeVar("U")

ErrorKind: TypeAlias = Literal[
    "failure", "validation", "not_found", "conflict", "unauthorized", "forbidden"
]

_KINDS = ("failure", "validation", "not_found", "conflict", "unauthorized", "forbidden")


class Error(msgspec.Struct, frozen=True):
    """Why something did not happen, said to the caller.

    ``kind`` is one of failure, validation, not_found, conflict, unauthorized
    and forbidden; ``code`` is for programs, ``message`` for people.

    >>> Error.not_found("no order 17", code="order.unknown")
    Error('no order 17', kind='not_found', code='order.unknown')
    """

    message: str
    kind: ErrorKind = "failure"
    code: str = ""

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise ValueError(f"an error's kind is one of {', '.join(_KINDS)}, not {self.kind!r}")

    @classmethod
    def failure(cls, message: str, code: str = "") -> Error:
        """Something did not work out."""
        return cls(message, "failure", code)

    @classmethod
    def validation(cls, message: str, code: str = "") -> Error:
        """The request itself is wrong."""
        return cls(message, "validation", code)

    @classmethod
    def not_found(cls, message: str, code: str = "") -> Error:
        """What the request is about does not exist."""
        return cls(message, "not_found", code)

    @classmethod
    def conflict(cls, message: str, code: str = "") -> Error:
        """Somebody else was there first."""
        return cls(message, "conflict", code)

    @classmethod
    def unauthorized(cls, message: str, code: str = "") -> Error:
        """It is not known who is asking."""
        return cls(message, "unauthorized", code)

    @classmethod
    def forbidden(cls, message: str, code: str = "") -> Error:
        """Who is asking may not do this."""
        return cls(message, "forbidden", code)

    def __repr__(self) -> str:
        kind = "" if self.kind == "failure" else f", kind={self.kind!r}"
        code = f", code={self.code!r}" if self.code else ""
        return f"Error({self.message!r}{kind}{code})"

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


class Result(Generic[T]):
    """`Success` or `Failure`; ask it with `match`, chain it with `map` and `bind`.

    >>> Success(20).map(lambda n: n + 1).ensure(lambda n: n > 40, Error("too small"))
    Failure(Error('too small'))
    >>> Success(20).match(success=lambda n: f"got {n}", failure=lambda errors: "nothing")
    'got 20'
    """

    __slots__ = ()

    @property
    def is_success(self) -> bool:
        """Whether there is a value."""
        return isinstance(self, Success)

    @property
    def is_failure(self) -> bool:
        """Whether there are errors."""
        return isinstance(self, Failure)

    def __bool__(self) -> bool:
        return isinstance(self, Success)

    @property
    def value(self) -> T:
        """The value; a failure raises `ResultError`, naming its errors."""
        raise NotImplementedError

    @property
    def errors(self) -> tuple[Error, ...]:
        """The errors; empty for a success."""
        return ()

    def map(self, function: Callable[[T], U]) -> Result[U]:
        """Apply ``function`` to the value; a failure stays as it is."""
        return Success(function(self.value)) if self else cast("Result[U]", self)

    def bind(self, function: Callable[[T], Result[U]]) -> Result[U]:
        """Go on with a function that answers a result itself; a failure stays as it is."""
        return function(self.value) if self else cast("Result[U]", self)

    def tap(self, function: Callable[[T], Any]) -> Result[T]:
        """Let ``function`` see the value, for its side effect; answer the same result."""
        if self:
            function(self.value)
        return self

    def ensure(self, predicate: Callable[[T], bool], error: Error) -> Result[T]:
        """Turn a success whose value does not satisfy ``predicate`` into a failure."""
        return self if not self or predicate(self.value) else Failure(error)

    def match(
        self,
        success: Callable[[T], U],
        failure: Callable[[tuple[Error, ...]], U],
    ) -> U:
        """Call the one of both that applies, and answer what it answers."""
        return success(self.value) if self else failure(self.errors)


class Success(Result[T]):
    """It happened; ``value`` is the answer.

    >>> Success(42).value
    42
    """

    __slots__ = ("_value",)
    __match_args__ = ("value",)

    def __init__(self, value: T) -> None:
        self._value = value

    @property
    def value(self) -> T:
        """The answer."""
        return self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Success) and self._value == other._value

    def __hash__(self) -> int:
        return hash((Success, self._value))

    def __repr__(self) -> str:
        return f"Success({self._value!r})"


class Failure(Result[Any]):
    """It did not happen, for at least one reason.

    >>> failure = Failure(Error.conflict("already shipped"))
    >>> failure.value
    Traceback (most recent call last):
        ...
    modulus_es.errors.ResultError: there is no value, because: conflict: already shipped
    """

    __slots__ = ("_errors",)
    __match_args__ = ("errors",)

    def __init__(self, *errors: Error | Sequence[Error] | str) -> None:
        flat: list[Error] = []
        for error in errors:
            if isinstance(error, Error):
                flat.append(error)
            elif isinstance(error, str):
                flat.append(Error(error))
            else:
                flat.extend(error)
        if not flat:
            raise ValueError("a Failure needs at least one Error: say why it failed")
        for item in flat:
            if not isinstance(item, Error):
                raise TypeError(f"a Failure holds Errors, not {type(item).__name__}")
        self._errors = tuple(flat)

    @property
    def value(self) -> Any:
        """There is none: raises `ResultError`, naming the errors."""
        raise ResultError(
            f"there is no value, because: {'; '.join(map(str, self._errors))}", self._errors
        )

    @property
    def errors(self) -> tuple[Error, ...]:
        """Why it did not happen; at least one."""
        return self._errors

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Failure) and self._errors == other._errors

    def __hash__(self) -> int:
        return hash((Failure, self._errors))

    def __repr__(self) -> str:
        return f"Failure({', '.join(map(repr, self._errors))})"
