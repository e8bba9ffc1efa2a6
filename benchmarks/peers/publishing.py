"""Others publish an event to their handlers."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks.harness import Row, Work
from benchmarks.peers.packages import need
from benchmarks.publish_work import (
    Clock,
    Log,
    Store,
    Ticked,
    async_handlers,
    check_calls,
    check_injected,
    injected_class,
)

GATHER = "asyncio.gather over the handlers"
BLINKER = "blinker send_async"


async def gather(many: int, work: Work) -> None:
    calls: list[Any] = []
    handlers = async_handlers(many, calls)
    events = [Ticked(number) for number in range(work.count)]
    with work.timed():
        for event in events:
            await asyncio.gather(*(handler(event) for handler in handlers))
    check_calls(work, calls, events, many)


async def blinker(many: int, work: Work) -> None:
    signal = need("blinker").Signal()
    calls: list[Any] = []
    handlers = async_handlers(many, calls)
    for handler in handlers:
        signal.connect(handler)
    events = [Ticked(number) for number in range(work.count)]
    with work.timed():
        for event in events:
            await signal.send_async(event)
    # It keeps its receivers in a dict by id, and promises no order.
    in_order(calls, many)
    check_calls(work, calls, events, many)


def in_order(calls: list[Any], many: int) -> None:
    """Bring the calls of each event into the order of the handlers."""
    for start in range(0, len(calls), many):
        some = calls[start : start + many]
        calls[start : start + many] = sorted(
            some, key=lambda call: call if isinstance(call, int) else 0
        )


async def mediatr(many: int, work: Work) -> None:
    mediator_class = need("mediatr").Mediator
    registry = need("mediatr.mediator").__handlers__
    calls: list[Any] = []
    (handler,) = async_handlers(many, calls)
    handler.__annotations__["event"] = Ticked
    registry.clear()
    mediator_class.register_handler(handler)
    mediator = mediator_class()
    events = [Ticked(number) for number in range(work.count)]
    with work.timed():
        for event in events:
            await mediator.send_async(event)
    check_calls(work, calls, events, many)


async def python_cqrs(container: str, many: int, work: Work) -> None:
    cqrs = need("cqrs")
    bootstrap = need("cqrs.bootstrap.events").bootstrap
    logging.getLogger("cqrs").setLevel(logging.WARNING)
    calls: list[Any] = []

    event_class = type(
        "Ticked", (cqrs.Event,), {"__annotations__": {"number": int}, "__module__": __name__}
    )

    def handler_class(number: int) -> Any:
        class First(cqrs.EventHandler):
            async def handle(self, event: Any) -> None:
                calls.append(event)

        class Other(cqrs.EventHandler):
            async def handle(self, event: Any) -> None:
                calls.append(number)

        return Other if number else First

    class Trivial:
        """The least that resolves a handler."""

        async def resolve(self, cls: Any) -> Any:
            return cls()

    def bind(events: Any) -> None:
        for number in range(many):
            events.bind(event_class, handler_class(number))

    chosen = Trivial() if container == "trivial" else need("di").Container()
    mediator = bootstrap(di_container=chosen, events_mapper=bind)
    events = [event_class(number=number) for number in range(work.count)]
    with work.timed():
        for event in events:
            await mediator.send(event)
    check_calls(work, calls, events, many)


async def python_cqrs_injected(many: int, work: Work) -> None:
    cqrs = need("cqrs")
    di = need("di")
    dependent = need("di.dependent").Dependent
    bootstrap = need("cqrs.bootstrap.events").bootstrap
    logging.getLogger("cqrs").setLevel(logging.WARNING)
    event_class = type(
        "Ticked", (cqrs.Event,), {"__annotations__": {"number": int}, "__module__": __name__}
    )
    container = di.Container()
    store = Store()

    def always(thing: object) -> None:
        container.bind(di.bind_by_type(dependent(lambda: thing, scope="request"), type(thing)))

    for thing in (Clock(), Log(), store):
        always(thing)

    def bind(events: Any) -> None:
        for number in range(many):
            events.bind(event_class, injected_class(number, cqrs.EventHandler))

    mediator = bootstrap(di_container=container, events_mapper=bind)
    events = [event_class(number=number) for number in range(work.count)]
    with work.timed():
        for event in events:
            await mediator.send(event)
    check_injected(work, store.calls, events, many)


async def lato(many: int, work: Work) -> None:
    package = need("lato")
    calls: list[Any] = []
    application = package.Application("ticks")
    event_class = type(
        "Ticked", (package.Event,), {"__annotations__": {"number": int}, "__module__": __name__}
    )
    for handler in async_handlers(many, calls):
        handler.__annotations__["event"] = event_class
        application.handler(event_class)(handler)
    events = [event_class(number=number) for number in range(work.count)]
    with work.timed():
        for event in events:
            await application.publish_async(event)
    in_order(calls, many)
    check_calls(work, calls, events, many)


async def messagebus(many: int, work: Work) -> None:
    package = need("messagebus")
    calls: list[Any] = []

    class Unit(package.AsyncAbstractUnitOfWork):
        async def commit(self) -> None:
            """Nothing to write."""

        async def rollback(self) -> None:
            """Nothing to undo."""

    metadata = package.Metadata(name="ticked", schema_version=1)
    event_class = type(
        "Ticked",
        (package.Event,),
        {
            "__annotations__": {"number": int, "metadata": package.Metadata},
            "metadata": metadata,
            "__module__": __name__,
        },
    )
    bus = package.AsyncMessageBus()

    def flat(number: int) -> Callable[[Any, Any], Any]:
        async def first(event: Any, uow: Any) -> None:
            calls.append(event)

        async def other(event: Any, uow: Any) -> None:
            calls.append(number)

        return other if number else first

    for number in range(many):
        bus.add_listener(event_class, flat(number))
    events = [event_class(number=number) for number in range(work.count)]
    unit = Unit()
    with work.timed():
        for event in events:
            async with unit as transaction:
                await bus.handle(event, transaction)
                await transaction.commit()
    check_calls(work, calls, events, many)


async def pyventus(many: int, work: Work) -> None:
    package = need("pyventus.events")
    service = need("pyventus.core.processing.asyncio").AsyncIOProcessingService
    calls: list[Any] = []
    event_class = dataclasses.make_dataclass("Ticked", [("number", int)])
    package.EventLinker.remove_all()
    for handler in async_handlers(many, calls):
        package.EventLinker.subscribe(event_class, event_callback=handler)
    emitter = package.AsyncIOEventEmitter()
    events = [event_class(number) for number in range(work.count)]

    async def emit(event: Any) -> None:
        emitter.emit(event)

    emit_and_wait = service.guard(emit)
    with work.timed():
        for event in events:
            await emit_and_wait(event)
    in_order(calls, many)
    check_calls(work, calls, events, many)


async def bubus(many: int, work: Work) -> None:
    logging.getLogger("bubus").setLevel(logging.ERROR)
    package = need("bubus")
    logging.getLogger("bubus").setLevel(logging.ERROR)
    calls: list[Any] = []
    event_class = type(
        "Ticked", (package.BaseEvent,), {"__annotations__": {"number": int}, "__module__": __name__}
    )
    bus = package.EventBus()
    for number, handler in enumerate(async_handlers(many, calls)):
        handler.__name__ = f"handler_{number}"
        bus.on(event_class, handler)
    events = [event_class(number=number) for number in range(work.count)]
    with work.timed():
        for event in events:
            await bus.dispatch(event)
    await bus.stop(clear=True)
    check_calls(work, calls, events, many)


def rows(many: int) -> list[Row]:
    """Those that can publish to so many handlers; the slow ones do less of it."""
    one = [Row("mediatr send_async", "peer", partial(mediatr, many))] if many == 1 else []
    return [
        Row(GATHER, "other", partial(gather, many), 0.2),
        Row(BLINKER, "peer", partial(blinker, many)),
        *one,
        Row("python-cqrs, trivial container", "peer", partial(python_cqrs, "trivial", many), 0.2),
        Row("python-cqrs, its default container", "peer", partial(python_cqrs, "di", many), 0.2),
        Row("messagebus", "peer", partial(messagebus, many), 0.1),
        Row("lato", "peer", partial(lato, many), 0.1),
        Row("pyventus", "peer", partial(pyventus, many), 0.1),
        Row("bubus", "peer", partial(bubus, many), 0.005),
    ]


def injected_rows(many: int) -> list[Row]:
    """Those that inject into class handlers."""
    run = partial(python_cqrs_injected, many)
    return [Row("python-cqrs, its default container", "peer", run, 0.1)]
