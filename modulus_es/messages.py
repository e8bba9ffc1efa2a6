"""The messages: commands, queries and integration events, all of them frozen records."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import (
    Any,
    ClassVar,
    Generic,
    TypeVar,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)
from uuid import UUID

from modulus_es import ambient
from modulus_es.definition import Upcast, as_upcasts
from modulus_es.errors import HandlerSignatureError
from modulus_es.naming import define, qualified_name
from modulus_es.records import (
    as_record,
    check_fields,
    readable,
    refuse_reserved,
    settle_annotations,
)

T = TypeVar("T")

CONTRACT = ("event_id", "occurred_on", "correlation_id", "causation_id")
"""What every integration event has beside its own fields."""


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class Message:
    """Base of all messages; makes each subclass a frozen record under a stable name."""

    __base_fields__: ClassVar[frozenset[str]] = frozenset()
    class_version: ClassVar[int] = 1

    def __init_subclass__(
        cls,
        *,
        name: str | None = None,
        version: int | None = None,
        upcast: Upcast | Mapping[int, Upcast] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init_subclass__(**kwargs)
        define(cls, name)
        cls.class_version = version or cls.__dict__.get("class_version", 1)
        if cls.class_version < 1 or version == 0:
            raise ValueError(f"{qualified_name(cls)}: a version is at least 1")
        for attribute, function in as_upcasts(cls.class_version, upcast).items():
            setattr(cls, attribute, function)
        settle_annotations(cls)
        is_contract = cls.__base_fields__ and "__base_fields__" not in cls.__dict__
        if is_contract:
            refuse_reserved(cls, CONTRACT)
        if Message not in cls.__bases__ or cls.__base_fields__:
            as_record(cls)
        if is_contract:
            check_fields(cls)

    __repr__ = readable


class Command(Message, Generic[T]):
    """A request to change something; ``T`` is what it answers.

    ``class PlaceOrder(Command[UUID], name="shop.PlaceOrder")`` pins its name.
    Its fields may hold anything as long as it stays in the process; what
    `UnitOfWork.send` puts on the bus has to be recorded.

    >>> class PlaceOrder(Command[UUID]):
    ...     customer: str
    >>> PlaceOrder("Ada")
    PlaceOrder(customer='Ada')
    """


class Query(Message, Generic[T]):
    """A request to know something; ``T`` is what it answers. It changes nothing.

    >>> class CountOrders(Query[int]):
    ...     customer: str
    >>> CountOrders(customer="Ada")
    CountOrders(customer='Ada')
    """


class StreamQuery(Message, Generic[T]):
    """A request to know many things, answered one ``T`` after the other.

    >>> class ListOrders(StreamQuery[str]):
    ...     newest_first: bool = True
    >>> ListOrders()
    ListOrders(newest_first=True)
    """


class IntegrationEvent(Message):
    """Something that happened in one module, as a contract that the others see.

    Beside its own fields it has ``event_id``, ``occurred_on`` (UTC),
    ``correlation_id`` and ``causation_id``, filled in. Field names and type
    name are the wire contract; ``class OrderCreated(IntegrationEvent,
    name="shop.OrderCreated", version=1)`` pins them. ``upcast`` leads from
    older versions to this one, as that of `event` does. Raises
    `ReservedFieldError` and `UnsupportedFieldError`, naming the field.

    >>> class OrderCreated(IntegrationEvent):
    ...     total: int
    >>> created = OrderCreated(42, correlation_id="checkout-17")
    >>> created, created.correlation_id
    (OrderCreated(total=42), 'checkout-17')
    """

    __base_fields__: ClassVar[frozenset[str]] = frozenset(CONTRACT)

    event_id: UUID = field(kw_only=True, default_factory=ambient.new_id)
    occurred_on: datetime = field(kw_only=True, default_factory=ambient.now)
    # Filled in on the way, and no reason for what arrives to differ from what was sent.
    correlation_id: str | None = field(kw_only=True, default=None, compare=False)
    causation_id: str | None = field(kw_only=True, default=None, compare=False)


def result_type(message: type[Any]) -> Any:
    """What a command or query class promises to answer: the ``T`` of its base.

    >>> class CountParcels(Query[int]): ...
    >>> result_type(CountParcels)
    <class 'int'>
    """
    for cls in message.__mro__:
        for base in cls.__dict__.get("__orig_bases__", ()):
            if get_origin(base) in (Command, Query, StreamQuery):
                return _resolved(get_args(base)[0], cls)
    return Any


def _resolved(answer: Any, cls: type) -> Any:
    if isinstance(answer, TypeVar):
        return Any
    names = vars(sys.modules[cls.__module__]) if cls.__module__ in sys.modules else {}
    carrier = type("carrier", (), {"__annotations__": {"answer": answer}})
    try:
        return get_type_hints(carrier, names)["answer"]
    except NameError:
        # Written as text, and known only where it was written: nothing is promised.
        return Any


def kind_of(message: Any) -> str:
    """The word for what a message class is: command, query, stream query, ...

    >>> class Ping(Command[None]): ...
    >>> kind_of(Ping)
    'command'
    """
    if isinstance(message, type):
        for base, word in (
            (Command, "command"),
            (Query, "query"),
            (StreamQuery, "stream query"),
            (IntegrationEvent, "integration event"),
        ):
            if issubclass(message, base) and message is not base:
                return word
    raise HandlerSignatureError(f"{message!r} is not the class of a message")
