"""The message bus of a module: everything that leaves it goes through its outbox."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from modulus_es.messages import Command, IntegrationEvent
from modulus_es.turns import give_way
from modulus_es.unit_of_work import UnitOfWork, in_unit

if TYPE_CHECKING:
    from modulus_es.module import Module


class MessageBus:
    """Publishes integration events, and sends commands to one other module.

    Injected into a handler it is bound to that handler's unit of work, and what
    it is given leaves when that commits. Otherwise each call writes its own row
    of the outbox, in a transaction of its own.

    >>> import asyncio
    >>> from modulus_es import System
    >>> orders = System(seed=7).module("orders")
    >>> class OrderCreated(IntegrationEvent):
    ...     total: int
    >>> asyncio.run(orders.bus.publish(OrderCreated(42)))
    >>> orders.outbox
    Outbox(orders: 1 pending of 1)
    """

    def __init__(self, module: Module, uow: UnitOfWork | None = None) -> None:
        self._module, self._uow = module, uow

    def bound_to(self, uow: UnitOfWork) -> MessageBus:
        """The bus as it is inside a unit of work."""
        return MessageBus(self._module, uow)

    async def publish(
        self, event: IntegrationEvent, at: datetime | None = None, key: str | None = None
    ) -> None:
        """Send an event to every subscriber, now or ``at`` a time.

        Events of one ``key`` arrive in the order in which they were published.
        Raises `SerializationError` where a field cannot travel.
        """
        if self._uow is not None:
            self._uow.publish(event, at, key)
        else:
            await self._alone(lambda uow: uow.publish(event, at, key))

    async def send(
        self, command: Command[Any], to: str, at: datetime | None = None, key: str | None = None
    ) -> None:
        """Send a command to the one handler of module ``to``, now or ``at`` a time."""
        if self._uow is not None:
            self._uow.send(command, to, at, key)
        else:
            await self._alone(lambda uow: uow.send(command, to, at, key))

    async def _alone(self, note: Any) -> None:
        self._module.check_not_stale()
        if self._module.system.turns.due():
            await give_way()
        uow = UnitOfWork(self._module)

        async def work() -> None:
            note(uow)

        await in_unit(uow, work)

    def __repr__(self) -> str:
        bound = ", in a unit of work" if self._uow is not None else ""
        return f"MessageBus({self._module.name}{bound})"
