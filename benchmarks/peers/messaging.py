"""Others carry messages from a sender to a consumer."""

from __future__ import annotations

import asyncio
import logging
import warnings
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

from benchmarks.harness import Row, Work
from benchmarks.peers.packages import need


def totals(count: int) -> list[Decimal]:
    """A different total for each message, to tell them apart."""
    return [Decimal(number) / 100 for number in range(count)]


def finish(work: Work, seen: list[str], wanted: list[str]) -> None:
    """All came, as they were sent and in order."""
    work.did(len(seen))
    work.same("contents and order", seen, wanted)


async def kombu(work: Work) -> None:
    package = need("kombu")
    seen: list[str] = []
    wanted = [str(total) for total in totals(work.count)]

    def note(body: Any, message: Any) -> None:
        seen.append(body["total"])
        message.ack()

    with package.Connection("memory://") as connection:
        queue = package.Queue("orders", package.Exchange("orders"), routing_key="placed")
        with (
            connection.channel() as channel,
            package.Producer(channel, exchange=queue.exchange, routing_key="placed") as producer,
            package.Consumer(channel, queue, callbacks=[note], accept=["json"]),
        ):
            with work.timed():
                for start in range(0, len(wanted), 100):
                    some = wanted[start : start + 100]
                    for total in some:
                        producer.publish({"order_id": "7", "total": total}, serializer="json")
                    while len(seen) < start + len(some):
                        connection.drain_events(timeout=5)
            queue(channel).delete()
    finish(work, seen, wanted)


async def faststream(broker: str, work: Work) -> None:
    package = need(f"faststream.{broker}")
    logging.getLogger("faststream").setLevel(logging.ERROR)
    seen: list[str] = []
    wanted = [str(total) for total in totals(work.count)]
    name = "Kafka" if broker == "kafka" else "Rabbit"
    made = getattr(package, f"{name}Broker")(logger=None)

    @made.subscriber("placed")
    async def note(body: dict[str, str]) -> None:
        seen.append(body["total"])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        async with getattr(package, f"Test{name}Broker")(made) as tested:
            with work.timed():
                for total in wanted:
                    await tested.publish({"order_id": "7", "total": total}, "placed")
    finish(work, seen, wanted)


async def bubus(work: Work) -> None:
    package = need("bubus")
    logging.getLogger("bubus").setLevel(logging.ERROR)
    seen: list[str] = []
    wanted = [str(total) for total in totals(work.count)]
    event_class = type(
        "Placed", (package.BaseEvent,), {"__annotations__": {"total": str}, "__module__": __name__}
    )
    bus = package.EventBus()

    async def note(event: Any) -> None:
        seen.append(event.total)

    bus.on(event_class, note)
    with work.timed():
        for total in wanted:
            await bus.dispatch(event_class(total=total))
    await bus.stop(clear=True)
    finish(work, seen, wanted)


def _placed_class(cqrs: Any) -> tuple[Any, Any]:
    """The contract, and the map that python-cqrs wants it noted in."""
    event_class = cqrs.NotificationEvent[dict]
    registry = need("cqrs.mapping.outbox").OutboxedEventMap
    if registry.get("placed") is None:
        registry.register("placed", event_class)
    return event_class, registry


async def _cqrs(
    work: Work,
    outbox: Callable[[], Any],
    produced: Callable[[Any], Any] | None = None,
) -> None:
    """A command whose handler notes an event in the outbox, a producer, a broker, a consumer."""
    cqrs = need("cqrs")
    protocol = need("cqrs.message_brokers.protocol")
    producer_class = need("cqrs.message_brokers.producer").EventProducer
    bootstrap_requests = need("cqrs.bootstrap.requests").bootstrap
    bootstrap_events = need("cqrs.bootstrap.events").bootstrap
    logging.disable(logging.WARNING)
    seen: list[str] = []
    wanted = [str(total) for total in totals(work.count)]
    event_class, _ = _placed_class(cqrs)
    arrived: list[Any] = []

    class PlaceOrder(cqrs.Request):
        total: str

    class PlaceOrderHandler(cqrs.RequestHandler[PlaceOrder, None]):
        @property
        def events(self) -> list[Any]:
            return []

        async def handle(self, request: PlaceOrder) -> None:
            repository.add(
                event_class(event_name="placed", topic="orders", payload={"total": request.total})
            )
            await repository.commit()

    class PlacedHandler(cqrs.EventHandler[event_class]):
        async def handle(self, event: Any) -> None:
            seen.append(event.payload["total"])

    class Broker(protocol.MessageBroker):
        async def send_message(self, message: Any) -> None:
            arrived.append(message)

    class Container:
        """The least that resolves a handler."""

        async def resolve(self, cls: Any) -> Any:
            return cls()

    repository = outbox()
    requests = bootstrap_requests(
        di_container=Container(),
        commands_mapper=lambda mapper: mapper.bind(PlaceOrder, PlaceOrderHandler),
    )
    consumer = bootstrap_events(
        di_container=Container(),
        events_mapper=lambda mapper: mapper.bind(
            getattr(event_class, "__origin__", event_class), PlacedHandler
        ),
    )
    producer = producer_class(Broker(), repository)
    codec = need("cqrs.serializers.json").JsonEventSerializer()
    try:
        with work.timed():
            for start in range(0, len(wanted), 100):
                for total in wanted[start : start + 100]:
                    await requests.send(PlaceOrder(total=total))
                async for batch in producer.event_batch_generator(100):
                    for event in batch:
                        await producer.send_message(event)
                    await repository.commit()
                    break
                for message in arrived:
                    event = codec.deserialize(message.payload_bytes, event_class)
                    await consumer.send(event)
                arrived.clear()
    finally:
        logging.disable(logging.NOTSET)
    finish(work, seen, wanted)


async def cqrs_mock(work: Work) -> None:
    need("cqrs")
    repository_class = need("cqrs.outbox.mock").MockOutboxedEventRepository
    await _cqrs(work, lambda: repository_class(dict))


async def cqrs_sqlalchemy(work: Work) -> None:
    need("cqrs")
    need("aiosqlite")
    sqlalchemy = need("sqlalchemy")
    sql = need("sqlalchemy.ext.asyncio")
    outbox = need("cqrs.outbox.sqlalchemy")
    need("sqlalchemy.ext.compiler").compiles(sqlalchemy.BigInteger, "sqlite")(
        lambda *_, **__: "INTEGER"
    )
    engine = sql.create_async_engine(f"sqlite+aiosqlite:///{work.folder / 'cqrs.db'}")
    async with engine.begin() as connection:
        await connection.execute(sqlalchemy.text("PRAGMA journal_mode=WAL"))
        await connection.run_sync(outbox.Base.metadata.create_all)
    session = sql.async_sessionmaker(engine, expire_on_commit=False)()
    try:
        await _cqrs(work, partial(outbox.SqlAlchemyOutboxedEventRepository, session))
    finally:
        await session.close()
        await engine.dispose()
    await asyncio.sleep(0)


def memory_rows() -> list[Row]:
    """Those that keep nothing on a disk."""
    return [
        Row("python-cqrs, mock outbox", "peer", cqrs_mock, 0.3),
        Row("kombu memory://", "peer", kombu, 0.3),
        Row("faststream, in-memory Kafka", "peer", partial(faststream, "kafka"), 0.1),
        Row("faststream, in-memory RabbitMQ", "peer", partial(faststream, "rabbit"), 0.03),
        Row("bubus", "peer", bubus, 0.03),
    ]


def file_rows() -> list[Row]:
    """Those that keep an outbox in an SQLite file."""
    return [Row("python-cqrs, SQLAlchemy and aiosqlite", "peer", cqrs_sqlalchemy, 0.3)]
