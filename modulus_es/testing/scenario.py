"""Given what happened, when something is done, then exactly this follows: for aggregates."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any, Generic, Self, TypeVar, cast, overload

from modulus_es.domain import Aggregate
from modulus_es.mapper import upcast
from modulus_es.module import Module
from modulus_es.naming import qualified_name
from modulus_es.records import codec_of
from modulus_es.testing.happenings import difference
from modulus_es.testing.history import History, Moment, rebuilt
from modulus_es.testing.module_scenario import ModuleGiven
from modulus_es.testing.telling import complain, told

A = TypeVar("A", bound=Aggregate)


@overload
def given(subject: type[A], /, *history: Any, seed: int = 7) -> AggregateGiven[A]: ...
@overload
def given(subject: Module, /, *history: Any) -> ModuleGiven: ...
def given(subject: Any, /, *history: Any, seed: int = 7) -> Any:
    """Begin a test of an aggregate class, or of a module: given, when, then.

    For an aggregate, ``history`` are its events, each as a class, an object or
    `happened` with fields; or functions that make and change it. Ids and times
    are the same on every run, for a ``seed``. For a module see `ModuleGiven`.

    >>> from modulus_es import Aggregate, event
    >>> from modulus_es.testing import happened
    >>> class Order(Aggregate):
    ...     @event("Placed")
    ...     def __init__(self, total: int) -> None:
    ...         self.total, self.carrier = total, ""
    ...
    ...     def ship(self, carrier: str) -> None:
    ...         if self.carrier:
    ...             raise ValueError("it was shipped already")
    ...         self._ship(carrier)
    ...
    ...     @event("Shipped")
    ...     def _ship(self, carrier: str) -> None:
    ...         self.carrier = carrier
    >>> placed = happened(Order.Placed, total=42)
    >>> shipped = happened(Order.Shipped, carrier="DHL")
    >>> given(Order, placed).when(lambda order: order.ship("DHL")).then(shipped)
    <Order: Order.Shipped(carrier='DHL')>
    >>> given(Order, placed, shipped).when(lambda order: order.ship("UPS")).then_raises(ValueError)
    <Order: nothing>
    """
    if isinstance(subject, Module):
        return ModuleGiven(subject, history)
    if isinstance(subject, type) and issubclass(subject, Aggregate):
        return AggregateGiven(subject, history, seed)
    raise TypeError(f"given() takes an aggregate class or a module first, not {subject!r}")


class AggregateGiven(Generic[A]):
    """What happened to an aggregate; `given` makes it.

    >>> from modulus_es import Aggregate, event
    >>> class Door(Aggregate):
    ...     @event("Opened")
    ...     def open(self) -> None: ...
    >>> given(Door, Door.Created).after(60)
    <given Door: Door.Created()>
    """

    def __init__(self, cls: type[A], history: tuple[Any, ...], seed: int) -> None:
        self._cls, self._moment, self._past = cls, Moment(seed), History()
        self._subject: A | None = None
        with self._moment.current():
            for said in history:
                if callable(said) and not isinstance(said, type):
                    self._take(said(*self._arguments()))
                else:
                    self._past.add(said)
        wrong = [e for e in self._past.events if not issubclass(cls, type(e).__aggregate__)]
        if wrong or len(self._past.versions) > 1:
            raise TypeError(
                f"given({qualified_name(cls)}, ...) takes the events of one "
                f"{qualified_name(cls)}, not {', '.join(map(repr, wrong or self._past.events))}"
            )

    def after(self, seconds: float) -> Self:
        """Let virtual time pass before what is done."""
        self._moment.pass_by(seconds)
        return self

    def when(self, action: Callable[..., Any], *arguments: Any) -> AggregateOutcome[A]:
        """Do something with the aggregate; without a history, make it.

        ``action`` gets the aggregate, if there is one, and ``arguments``. What
        it raises is kept for `AggregateOutcome.then_raises`.
        """
        aggregate = rebuilt(self._past.events)
        error: Exception | None = None
        answer: Any = None
        with self._moment.current():
            try:
                answer = action(*([] if aggregate is None else [aggregate]), *arguments)
            except Exception as raised:
                error = raised
        if isawaitable(answer):
            _forget(answer)
            raise TypeError(
                "an aggregate's method is not awaited: await given(module, ...) tests what is"
            )
        if aggregate is None and isinstance(answer, Aggregate):
            aggregate = answer
        return AggregateOutcome(repr(self), self._past.events, aggregate, answer, error)

    def __repr__(self) -> str:
        return f"<given {qualified_name(self._cls)}: {told(self._past.events)}>"

    def _arguments(self) -> list[Any]:
        aggregate = self._subject or rebuilt(self._past.events)
        return [] if aggregate is None else [aggregate]

    def _take(self, answer: Any) -> None:
        if isinstance(answer, Aggregate):
            self._subject = cast("A", answer)
        if self._subject is not None:
            self._past.take(self._subject)


class AggregateOutcome(Generic[A]):
    """What followed; say with the ``then`` methods what should have.

    ``events`` are the new events, ``aggregate`` is the aggregate afterwards,
    ``answer`` what the method answered, ``error`` what it raised.

    >>> from modulus_es import Aggregate, event
    >>> class Door(Aggregate):
    ...     @event("Opened")
    ...     def open(self) -> None: ...
    >>> given(Door, Door.Created).when(Door.open).then()
    Traceback (most recent call last):
        ...
    AssertionError: given Door: Door.Created()
    then other events than expected (- expected, + happened):
      + Door.Opened()
    """

    def __init__(
        self, story: str, past: list[Any], aggregate: A | None, answer: Any, error: Exception | None
    ) -> None:
        self._story, self._past = story.strip("<>"), past
        self.aggregate, self.answer, self.error = aggregate, answer, error
        self.events: list[Any] = [] if aggregate is None else list(aggregate.pending_events)

    def then(self, *expected: Any) -> Self:
        """Exactly these events followed, in this order; none where none is given.

        Each is a class, an object, or `happened` with the fields that matter.
        Raises `AssertionError` that shows the difference.
        """
        if self.error is not None:
            said = f"{type(self.error).__name__}: {self.error}"
            raise complain(self._story, f"then it raised {said}") from self.error
        return self._followed(expected)

    def then_raises(self, error: type[Exception], match: str = "") -> Self:
        """It raised such an error, whose text contains the pattern ``match``; no event followed."""
        if not isinstance(self.error, error):
            came = "nothing" if self.error is None else repr(self.error)
            raise complain(
                self._story, f"then it raised {came}, not {error.__name__}"
            ) from self.error
        if not re.search(match, str(self.error)):
            raise complain(
                self._story, f"then the error said {str(self.error)!r}, not {match!r}"
            ) from self.error
        return self._followed(())

    def then_answers(self, answer: Any) -> Self:
        """The method answered this."""
        self._must_not_have_raised()
        if self.answer != answer:
            raise complain(self._story, f"then it answered {self.answer!r}, not {answer!r}")
        return self

    def then_state(self, **attributes: Any) -> Self:
        """The aggregate has these attributes afterwards."""
        self._must_not_have_raised()
        nothing = object()
        wrong = [
            f"{name} is {'not there' if came is nothing else repr(came)}, not {value!r}"
            for name, value in attributes.items()
            if (came := getattr(self.aggregate, name, nothing)) != value
        ]
        if wrong:
            raise complain(self._story, "then the aggregate is not as expected:", wrong)
        return self

    def then_replays(self) -> Self:
        """Its events, stored and read back, make the aggregate that it is now.

        An aggregate that changes beside its events has another state when it is
        loaded the next time; this finds it out.
        """
        self._must_not_have_raised()
        again = rebuilt(map(_read_back, [*self._past, *self.events]))
        before, after = _state(self.aggregate), _state(again)
        wrong = [
            f"{name} is {before.get(name)!r}, and {after.get(name)!r} when it is loaded again"
            for name in dict.fromkeys([*before, *after])
            if before.get(name) != after.get(name)
        ]
        if wrong:
            raise complain(self._story, "then it changed beside its events:", wrong)
        return self

    def __repr__(self) -> str:
        name = "nobody" if self.aggregate is None else qualified_name(type(self.aggregate))
        return f"<{name}: {told(self.events)}>"

    def _followed(self, expected: tuple[Any, ...]) -> Self:
        if lines := difference(expected, self.events):
            said = "then other events than expected (- expected, + happened):"
            raise complain(self._story, said, lines)
        return self

    def _must_not_have_raised(self) -> None:
        if self.error is not None:
            raise complain(
                self._story, f"then it raised {type(self.error).__name__}: {self.error}"
            ) from self.error


def _read_back(event: Any) -> Any:
    """An event as it is after it was stored."""
    cls = type(event)
    codec = codec_of(cls)
    stored = codec.decode(upcast(cls, getattr(cls, "class_version", 1), codec.encode(vars(event))))
    again = object.__new__(cls)
    again.__dict__.update({**vars(event), **stored})
    return again


def _state(aggregate: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(aggregate).items() if name != "_pending_events"}


def _forget(answer: Awaitable[Any]) -> None:
    close = getattr(answer, "close", None)
    if close is not None:
        close()
