"""The messages: commands, queries and integration events, all of them frozen records."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar, dataclass_transform, get_args, get_origin
from uuid import UUID

from modulus_es import ambient
from modulus_es.domain import refuse_reserved
from modulus_es.errors import HandlerSignatureError
from modulus_es.naming import define, qualified_name
from modulus_es.records import check_fields, readable

T = TypeVar("T")

_CONTRACT = ("event_id", "occurred_on", "correlation_id", "causation_id")


class Message:
    """Base of all messages; makes each subclass a frozen record under a stable name."""

    __base_fields__: ClassVar[frozenset[str]] = frozenset()
    class_version: ClassVar[int] = 1

    def __init_subclass__(
        cls, *, name: str | None = None, version: int = 1, **kwargs: Any
    ) -> None:
        super().__init_subclass__(**kwargs)
        if version < 1:
            raise ValueError(f"{qualified_name(cls)}: a version is at least 1, not {version}")
        define(cls, name)
        cls.class_version = version
        if Message in cls.__bases__:
            # The bases have no fields, but for the contract's own four.
            if cls.__dict__.get("__annotations__", {}).keys() & set(_CONTRACT):
                dataclass(frozen=True, repr=False)(cls)
            return
        refuse_reserved(cls, cls.__dict__.get("__annotations__", {}), _CONTRACT)
        dataclass(frozen=True, repr=False)(cls)
        check_fields(cls)

    __repr__ = readable


@dataclass_transform(frozen_default=True)
class Command(Message, Generic[T]):
    """A request to change something; ``T`` is what it answers.

    ``class PlaceOrder(Command[UUID], name="shop.PlaceOrder")`` pins its name.

    >>> class PlaceOrder(Command[UUID]):
    ...     customer: str
    >>> PlaceOrder("Ada")
    PlaceOrder(customer='Ada')
    """


@dataclass_transform(frozen_default=True)
class Query(Message, Generic[T]):
    """A request to know something; ``T`` is what it answers. It changes nothing.

    >>> class CountOrders(Query[int]):
    ...     customer: str
    >>> CountOrders(customer="Ada")
    CountOrders(customer='Ada')
    """


@dataclass_transform(frozen_default=True)
class StreamQuery(Message, Generic[T]):
    """A request to know many things, answered one ``T`` after the other.

    >>> class ListOrders(StreamQuery[str]):
    ...     newest_first: bool = True
    >>> ListOrders()
    ListOrders(newest_first=True)
    """


@dataclass_transform(frozen_default=True)
class IntegrationEvent(Message):
    """Something that happened in one module, as a contract that the others see.

    Beside its own fields it has ``event_id``, ``occurred_on`` (UTC),
    ``correlation_id`` and ``causation_id``, filled in. Field names and type
    name are the wire contract; ``class OrderCreated(IntegrationEvent,
    name="shop.OrderCreated", version=1)`` pins them.

    >>> class OrderCreated(IntegrationEvent):
    ...     total: int
    >>> created = OrderCreated(42, correlation_id="checkout-17")
    >>> created, created.correlation_id
    (OrderCreated(total=42), 'checkout-17')
    """

    __base_fields__: ClassVar[frozenset[str]] = frozenset(_CONTRACT)

    event_id: UUID = field(kw_only=True, default_factory=ambient.new_id)
    occurred_on: datetime = field(kw_only=True, default_factory=ambient.now)
    correlation_id: str | None = field(kw_only=True, default=None)
    causation_id: str | None = field(kw_only=True, default=None)


def result_type(message: type[Any]) -> Any:
    """What a command or query class promises to answer: the ``T`` of its base.

    >>> class CountParcels(Query[int]): ...
    >>> result_type(CountParcels)
    <class 'int'>
    """
    for cls in message.__mro__:
        for base in getattr(cls, "__orig_bases__", ()):
            if get_origin(base) in (Command, Query, StreamQuery):
                answer = get_args(base)[0]
                return Any if isinstance(answer, TypeVar) else answer
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
