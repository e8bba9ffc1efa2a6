"""Injection: what a handler takes beyond its message is found by type."""

import asyncio
import functools
import gc
import inspect
import logging
import sys
import types
import weakref
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Generic, NewType, Protocol, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modulus_es import System
from modulus_es.errors import (
    HandlerSignatureError,
    ServiceError,
    ServiceLifetimeError,
    ServiceNotFoundError,
)
from modulus_es.injection import Scope
from modulus_es.plans import Plan
from modulus_es.services import Services

C = TypeVar("C")


class UnitOfWork: ...


class Clock: ...


class Context:
    """Stands for what the mediator brings along in every call."""

    def __init__(self) -> None:
        self.uow = UnitOfWork()
        self.clock = Clock()


class Database: ...


class Warehouse:
    def __init__(self, database: Database) -> None:
        self.database = database


class Session: ...


class PlaceOrder: ...


class CancelOrder: ...


class Validator(Generic[C]): ...


def new_services() -> Services:
    return Services({UnitOfWork: "uow"})


def planned(services: Services, target: Callable[..., Any], skip: int = 0) -> Plan:
    return services.plan(target, handler="shop.handler", skip=skip)


def call(services: Services, target: Callable[..., Any], scope: Scope | None = None) -> Any:
    plan = planned(services, target)
    return plan.call(*plan.bind(Context(), scope))


async def acall(services: Services, target: Callable[..., Any], scope: Scope | None = None) -> Any:
    plan = planned(services, target)
    return plan.call(*await plan.abind(Context(), scope))


def take_warehouse(warehouse: Warehouse) -> Warehouse:
    return warehouse


def take_database(database: Database) -> Database:
    return database


def take_session(session: Session) -> Session:
    return session


class TestWhatIsInjected:
    def test_a_class_is_constructed_with_what_its_constructor_takes(self) -> None:
        services = new_services()
        services.singleton(Database)
        services.singleton(Warehouse)
        assert isinstance(call(services, take_warehouse).database, Database)

    def test_a_service_is_made_by_the_subclass_registered_for_it(self) -> None:
        class SqliteDatabase(Database): ...

        services = new_services()
        services.singleton(Database, SqliteDatabase)
        assert type(call(services, take_database)) is SqliteDatabase

    def test_a_protocol_is_provided_by_a_class_that_does_not_derive_from_it(self) -> None:
        class Mailer(Protocol):
            def send(self) -> None: ...

        class Smtp:
            def send(self) -> None: ...

        def handler(mailer: Mailer) -> Mailer:
            return mailer

        services = new_services()
        services.singleton(Mailer, Smtp)
        assert type(call(services, handler)) is Smtp

    def test_an_instance_is_handed_out_as_it_is(self) -> None:
        database = Database()
        services = new_services()
        services.singleton(Database, database)
        assert call(services, take_database) is database

    def test_a_factory_gets_its_own_parameters_injected(self) -> None:
        def make(database: Database) -> Warehouse:
            return Warehouse(database)

        services = new_services()
        services.singleton(Database)
        services.singleton(Warehouse, make)
        warehouse = call(services, take_warehouse)
        assert warehouse.database is call(services, take_database)

    def test_a_factory_may_be_a_partial_or_a_bound_method(self) -> None:
        class Factory:
            def make(self) -> Database:
                return Database()

        services = new_services()
        services.singleton(Database, Factory().make)
        services.transient(Warehouse, functools.partial(Warehouse, Database()))
        assert isinstance(call(services, take_database), Database)
        assert isinstance(call(services, take_warehouse), Warehouse)

    def test_registering_decorates_a_class(self) -> None:
        services = new_services()

        @services.scoped
        class Cart: ...

        assert isinstance(Cart(), Cart)
        assert repr(services) == "Services(Cart: scoped)"

    def test_parametrised_types_are_services_of_their_own(self) -> None:
        def handler(
            place: Validator[PlaceOrder], cancel: Validator[CancelOrder]
        ) -> tuple[object, object]:
            return place, cancel

        services = new_services()
        services.singleton(Validator[PlaceOrder], "for place")
        services.singleton(Validator[CancelOrder], "for cancel")
        assert call(services, handler) == ("for place", "for cancel")

    def test_a_generic_class_gets_the_types_it_was_parametrised_with(self) -> None:
        class Repository(Generic[C]):
            def __init__(self, validator: Validator[C]) -> None:
                self.validator = validator

        class Orders(Repository[PlaceOrder]): ...

        def handler(given: Repository[CancelOrder], derived: Orders) -> tuple[object, object]:
            return given.validator, derived.validator

        services = new_services()
        services.singleton(Validator[PlaceOrder], "for place")
        services.singleton(Validator[CancelOrder], "for cancel")
        services.singleton(Repository[CancelOrder])
        services.singleton(Orders)
        assert call(services, handler) == ("for cancel", "for place")

    def test_a_new_type_is_a_service(self) -> None:
        Url = NewType("Url", str)

        def handler(url: Url) -> str:
            return url

        services = new_services()
        services.singleton(Url, "sqlite:///shop.db")
        assert call(services, handler) == "sqlite:///shop.db"

    def test_a_logger_is_named_after_the_handler(self) -> None:
        def handler(logger: logging.Logger) -> str:
            return logger.name

        assert call(new_services(), handler) == "modulus_es.shop.handler"

    def test_a_service_gets_a_logger_named_after_itself(self) -> None:
        class Mailer:
            def __init__(self, logger: logging.Logger) -> None:
                self.logger = logger

        def handler(mailer: Mailer) -> str:
            return mailer.logger.name

        services = new_services()
        services.singleton(Mailer)
        assert call(services, handler) == "modulus_es.Mailer"

    def test_contextual_types_come_from_the_object_of_the_call(self) -> None:
        def handler(uow: UnitOfWork) -> UnitOfWork:
            return uow

        plan = planned(new_services(), handler)
        first, second = Context(), Context()
        assert plan.call(*plan.bind(first, None)) is first.uow
        assert plan.call(*plan.bind(second, None)) is second.uow

    def test_contextual_types_may_be_chosen_for_one_plan(self) -> None:
        def handler(clock: Clock) -> Clock:
            return clock

        context = Context()
        plan = new_services().plan(handler, handler="handler", contextual={Clock: "clock"})
        assert list(plan.bind(context, None)) == [context.clock]

    def test_contextual_types_and_services_mix_in_any_order(self) -> None:
        class Second: ...

        def handler(
            uow: UnitOfWork, database: Database, clock: Clock, second: Second
        ) -> tuple[type, ...]:
            return type(uow), type(database), type(clock), type(second)

        services = Services({UnitOfWork: "uow", Clock: "clock"})
        services.singleton(Database)
        services.transient(Second)
        expected = (UnitOfWork, Database, Clock, Second)
        assert call(services, handler) == expected
        services.singleton(Second)
        assert call(services, handler) == expected
        assert call(services, handler) == expected

    def test_several_contextual_types_arrive_in_the_order_of_the_parameters(self) -> None:
        def handler(clock: Clock, uow: UnitOfWork) -> tuple[type, ...]:
            return type(clock), type(uow)

        services = Services({UnitOfWork: "uow", Clock: "clock"})
        assert call(services, handler) == (Clock, UnitOfWork)

    def test_a_scoped_service_may_take_a_contextual_type(self) -> None:
        class Orders:
            def __init__(self, uow: UnitOfWork) -> None:
                self.uow = uow

        def handler(orders: Orders, uow: UnitOfWork) -> bool:
            return orders.uow is uow

        services = new_services()
        services.scoped(Orders)
        assert call(services, handler, services.open_scope()) is True


class TestParameters:
    def test_what_the_caller_passes_is_skipped(self) -> None:
        def handler(message, database: Database):  # type: ignore[no-untyped-def]
            return message, database

        services = new_services()
        services.singleton(Database)
        plan = planned(services, handler, skip=1)
        message, database = plan.call("hello", *plan.bind(None, None))
        assert (message, type(database)) == ("hello", Database)

    def test_keyword_only_parameters_are_injected(self) -> None:
        def handler(
            message: str, limit: int = 3, *, database: Database, verbose: bool = False
        ) -> tuple[str, int, type, bool]:
            return message, limit, type(database), verbose

        services = new_services()
        services.singleton(Database)
        plan = planned(services, handler, skip=1)
        assert plan.call("hello", *plan.bind(None, None)) == ("hello", 3, Database, False)

    def test_a_default_is_taken_where_nothing_is_registered(self) -> None:
        def handler(limit: int = 3, database: Database | None = None) -> object:
            return limit, database

        assert call(new_services(), handler) == (3, None)

    def test_a_registered_service_comes_before_the_default(self) -> None:
        def handler(limit: int = 3, database: Database | None = None) -> object:
            return limit, type(database)

        services = new_services()
        services.singleton(Database)
        assert call(services, handler) == (3, Database)

    def test_a_default_needs_no_annotation(self) -> None:
        def handler(limit=3):  # type: ignore[no-untyped-def]
            return limit

        assert call(new_services(), handler) == 3

    def test_variadic_parameters_get_nothing(self) -> None:
        def handler(*args: Database, **options: Database) -> object:
            return args, options

        assert call(new_services(), handler) == ((), {})

    def test_annotations_may_be_text(self) -> None:
        def handler(database: "Database") -> Database:
            return database

        services = new_services()
        services.singleton(Database)
        assert isinstance(call(services, handler), Database)

    def test_annotations_as_text_see_the_variables_of_the_enclosing_function(self) -> None:
        class Local: ...

        def handler(local: "Local") -> bool:
            return isinstance(local, Local)

        services = new_services()
        services.singleton(Local)
        assert call(services, handler) is True

    def test_annotations_as_text_are_read_through_a_partial(self) -> None:
        def make(name: str, database: "Database") -> Warehouse:
            return Warehouse(database)

        services = new_services()
        services.singleton(Database)
        services.singleton(Warehouse, functools.partial(make, "main"))
        assert isinstance(call(services, take_warehouse), Warehouse)

    def test_annotations_as_text_are_read_of_an_object_that_is_called(self) -> None:
        class Handler:
            def __call__(self, database: "Database") -> "Database":
                return database

        services = new_services()
        services.singleton(Database)
        assert isinstance(call(services, Handler()), Database)

    def test_a_variable_of_the_enclosing_function_may_be_assigned_later(self) -> None:
        def handler(database: "Database") -> object:
            return database, later

        plan = planned(new_services(), handler)
        later = "later"
        with pytest.raises(ServiceNotFoundError):
            plan.check()
        assert later == "later"

    def test_a_class_that_hides_its_signature_is_called_without_arguments(self) -> None:
        services = new_services()
        services.transient(dict)
        assert call(services, _taking(dict)) == {}

    def test_annotations_of_a_decorated_function_are_read_where_it_was_written(self) -> None:
        home = types.ModuleType("home")
        source = "class Hidden: ...\ndef handler(hidden: 'Hidden'): return hidden\n"
        exec(compile(source, "home.py", "exec"), vars(home))

        @functools.wraps(home.handler)
        def wrapper(*args: Any) -> Any:
            return home.handler(*args)

        services = new_services()
        services.singleton(home.Hidden)
        assert isinstance(call(services, wrapper), home.Hidden)

    def test_a_parameter_without_a_type_is_refused_by_name(self) -> None:
        def handler(message, database):  # type: ignore[no-untyped-def]
            return message, database

        with pytest.raises(HandlerSignatureError, match=r"shop\.handler: parameter database has"):
            planned(new_services(), handler, skip=1)

    def test_an_unknown_name_in_an_annotation_is_refused_by_name(self) -> None:
        def handler(database: "Databas") -> None: ...  # type: ignore[name-defined]  # noqa: F821

        with pytest.raises(HandlerSignatureError, match=r"parameter database.*name Databas is not"):
            planned(new_services(), handler)

    def test_an_unknown_name_is_refused_even_with_a_default(self) -> None:
        def handler(database: "Databas | None" = None) -> None: ...  # type: ignore[name-defined]  # noqa: F821

        with pytest.raises(HandlerSignatureError, match="Databas"):
            planned(new_services(), handler)

    def test_an_annotation_that_raises_is_refused_with_its_reason(self) -> None:
        def handler(database: "Database.missing") -> None: ...  # type: ignore[name-defined]

        with pytest.raises(HandlerSignatureError, match="AttributeError"):
            planned(new_services(), handler)

    def test_a_service_may_name_a_class_that_is_defined_later(self) -> None:
        home = types.ModuleType("later_home")
        exec("class Early:\n    def __init__(self, late: 'Late'): self.late = late", vars(home))
        sys.modules["later_home"] = home
        try:
            services = new_services()
            services.singleton(home.Early)
            exec("class Late: ...", vars(home))
            services.singleton(home.Late)
            assert isinstance(call(services, _taking(home.Early)).late, home.Late)
        finally:
            del sys.modules["later_home"]

    def test_a_service_naming_a_class_that_never_comes_is_refused_when_needed(self) -> None:
        class Early:
            def __init__(self, late: "Late") -> None: ...  # type: ignore[name-defined]  # noqa: F821

        services = new_services()
        services.singleton(Early)
        with pytest.raises(ServiceError, match=r"Early: parameter late.*name Late"):
            call(services, _taking(Early))


def _taking(service: Any) -> Callable[..., Any]:
    def handler(it):  # type: ignore[no-untyped-def]
        return it

    handler.__annotations__["it"] = service
    return handler


class TestLifetimes:
    def test_a_singleton_is_made_once(self) -> None:
        services = new_services()
        services.singleton(Database)
        assert call(services, take_database) is call(services, take_database)

    def test_a_singleton_is_made_when_it_is_first_needed(self) -> None:
        made: list[str] = []
        services = new_services()
        services.singleton(Database, lambda: made.append("database"))
        plan = planned(services, take_database)
        plan.check()
        assert made == []
        plan.bind(None, None)
        assert made == ["database"]

    def test_a_singleton_that_failed_to_be_made_is_tried_again(self) -> None:
        answers: Iterator[Any] = iter([OSError("not yet"), Database()])

        def make() -> Database:
            answer = next(answers)
            if isinstance(answer, OSError):
                raise answer
            return answer

        services = new_services()
        services.singleton(Database, make)
        with pytest.raises(OSError, match="not yet"):
            call(services, take_database)
        assert isinstance(call(services, take_database), Database)

    def test_a_scoped_service_is_one_in_a_scope_and_another_in_the_next(self) -> None:
        services = new_services()
        services.scoped(Session)
        first, second = services.open_scope(), services.open_scope()
        session = call(services, take_session, first)
        assert call(services, take_session, first) is session
        assert call(services, take_session, second) is not session

    def test_a_transient_service_is_new_for_every_argument(self) -> None:
        def handler(one: Session, two: Session) -> bool:
            return one is two

        services = new_services()
        services.transient(Session)
        assert call(services, handler) is False

    def test_two_coroutines_asking_at_once_get_one_singleton(self) -> None:
        made: list[Database] = []

        async def make() -> Database:
            await asyncio.sleep(0)
            made.append(Database())
            return made[-1]

        async def scenario() -> list[Any]:
            services = new_services()
            services.singleton(Database, make)
            services.singleton(Warehouse)
            return await asyncio.gather(
                *(acall(services, target) for target in (take_warehouse, take_database) * 3)
            )

        got = asyncio.run(scenario())
        assert len(made) == 1
        assert len({id(item) for item in got}) == 2

    def test_a_cancelled_maker_leaves_the_singleton_to_the_next_who_waits(self) -> None:
        started: list[str] = []

        async def make() -> Database:
            started.append("make")
            await asyncio.sleep(0.01)
            return Database()

        async def scenario() -> Any:
            services = new_services()
            services.singleton(Database, make)
            first = asyncio.create_task(acall(services, take_database))
            await asyncio.sleep(0)
            second = asyncio.create_task(acall(services, take_database))
            await asyncio.sleep(0)
            first.cancel()
            return await second

        assert isinstance(asyncio.run(scenario()), Database)
        assert started == ["make", "make"]

    def test_a_cancelled_waiter_does_not_disturb_the_maker(self) -> None:
        async def make() -> Database:
            await asyncio.sleep(0.01)
            return Database()

        async def scenario() -> Any:
            services = new_services()
            services.singleton(Database, make)
            first = asyncio.create_task(acall(services, take_database))
            await asyncio.sleep(0)
            second = asyncio.create_task(acall(services, take_database))
            await asyncio.sleep(0)
            second.cancel()
            return await first

        assert isinstance(asyncio.run(scenario()), Database)

    def test_a_singleton_made_meanwhile_without_await_is_not_made_again(self) -> None:
        gate = asyncio.Event()

        async def make() -> Database:
            await gate.wait()
            return Database()

        async def scenario() -> tuple[Any, Any]:
            services = new_services()
            services.singleton(Database, make)
            services.singleton(Warehouse)

            async def first_the_database() -> Any:
                await acall(services, take_database)
                return call(services, take_warehouse)

            faster = asyncio.create_task(first_the_database())
            await asyncio.sleep(0)
            slower = asyncio.create_task(acall(services, take_warehouse))
            await asyncio.sleep(0)
            gate.set()
            return await faster, await slower

        one, other = asyncio.run(scenario())
        assert one is other

    def test_a_plan_needs_no_await_once_its_async_singletons_are_made(self) -> None:
        async def make() -> Database:
            return Database()

        async def scenario() -> tuple[bool, bool]:
            services = new_services()
            services.singleton(Database, make)
            plan = planned(services, take_database)
            before = plan.is_async
            await plan.abind(None, None)
            return before, plan.is_async

        assert asyncio.run(scenario()) == (True, False)

    def test_binding_without_await_what_needs_one_says_so(self) -> None:
        async def make() -> Database:
            return Database()

        for register in (Services.singleton, Services.scoped):
            services = new_services()
            register(services, Database, make)
            with pytest.raises(ServiceError, match="Database is made by an async factory"):
                planned(services, take_database).bind(None, services.open_scope())

    def test_abind_serves_plans_that_need_no_await(self) -> None:
        services = new_services()
        services.singleton(Database)
        assert isinstance(asyncio.run(acall(services, take_database)), Database)

    def test_async_scoped_services_are_one_in_a_scope(self) -> None:
        async def make() -> Session:
            return Session()

        async def scenario() -> bool:
            services = new_services()
            services.scoped(Session, make)
            async with services.open_scope() as scope:
                first = await acall(services, take_session, scope)
                return first is await acall(services, take_session, scope)

        assert asyncio.run(scenario()) is True


class TestWhatAPlanSays:
    def test_a_plan_of_a_function_that_takes_nothing_more_is_empty(self) -> None:
        def handler(message: str) -> None: ...

        plan = planned(new_services(), handler, skip=1)
        assert (plan.empty, plan.needs_scope, plan.contextual, plan.is_async) == (True,) + (
            False,
        ) * 3
        assert list(plan.bind(None, None)) == []

    def test_a_plan_with_nothing_but_defaults_is_empty(self) -> None:
        def handler(limit: int = 3) -> None: ...

        assert planned(new_services(), handler).empty

    @pytest.mark.parametrize(
        ("lifetime", "needs_scope"), [("singleton", False), ("scoped", True), ("transient", False)]
    )
    def test_a_scope_is_needed_only_for_what_lives_in_one(
        self, lifetime: str, needs_scope: bool
    ) -> None:
        services = new_services()
        getattr(services, lifetime)(Session)
        assert planned(services, take_session).needs_scope is needs_scope

    def test_a_transient_with_a_clean_up_needs_a_scope(self) -> None:
        def make() -> Iterator[Session]:
            yield Session()

        services = new_services()
        services.transient(Session, make)
        assert planned(services, take_session).needs_scope

    def test_a_scope_is_needed_for_what_is_reached_through_another_service(self) -> None:
        class Cart:
            def __init__(self, session: Session, uow: UnitOfWork) -> None: ...

        services = new_services()
        services.scoped(Session)
        services.transient(Cart)
        plan = planned(services, _taking(Cart))
        assert (plan.needs_scope, plan.contextual) == (True, True)

    def test_a_plan_with_nothing_but_keyword_defaults_is_empty(self) -> None:
        def handler(*, limit: int = 3) -> None: ...

        assert planned(new_services(), handler).empty

    def test_a_plan_hands_out_the_same_arguments_once_all_are_made(self) -> None:
        services = new_services()
        services.singleton(Database)
        plan = planned(services, take_database)
        plan.bind(None, None)
        assert plan.bind(None, None) is plan.bind(None, None)

    def test_a_plan_has_no_other_attributes(self) -> None:
        plan = planned(new_services(), take_database)
        with pytest.raises(AttributeError, match="no attribute 'bnid'"):
            plan.bnid  # type: ignore[attr-defined]  # noqa: B018


class TestCleaningUp:
    def test_clean_ups_run_in_reverse_order_sync_and_async_alike(self) -> None:
        log: list[str] = []

        class First: ...

        class Second: ...

        class Third: ...

        async def first() -> AsyncIterator[First]:
            yield First()
            log.append("first")

        def second(first: First) -> Iterator[Second]:
            yield Second()
            log.append("second")

        async def third(second: Second) -> AsyncIterator[Third]:
            yield Third()
            log.append("third")

        async def scenario() -> None:
            services = new_services()
            services.scoped(First, first)
            services.transient(Second, second)
            services.scoped(Third, third)
            async with services.open_scope() as scope:
                await acall(services, _taking(Third), scope)

        asyncio.run(scenario())
        assert log == ["third", "second", "first"]

    def test_clean_ups_run_after_a_handler_failed(self) -> None:
        log: list[str] = []

        def make() -> Iterator[Session]:
            yield Session()
            log.append("closed")

        async def scenario() -> None:
            services = new_services()
            services.scoped(Session, make)
            async with services.open_scope() as scope:
                call(services, take_session, scope)
                raise LookupError("the handler failed")

        with pytest.raises(LookupError, match="the handler failed"):
            asyncio.run(scenario())
        assert log == ["closed"]

    def test_every_clean_up_runs_and_every_failure_is_told(self) -> None:
        log: list[str] = []

        class First: ...

        class Second: ...

        class Third: ...

        def first() -> Iterator[First]:
            yield First()
            raise ValueError("first")

        async def second() -> AsyncIterator[Second]:
            yield Second()
            log.append("second")

        async def third() -> AsyncIterator[Third]:
            yield Third()
            raise KeyError("third")

        def handler(one: First, two: Second, three: Third) -> None: ...

        async def scenario() -> None:
            services = new_services()
            services.scoped(First, first)
            services.scoped(Second, second)
            services.scoped(Third, third)
            async with services.open_scope() as scope:
                await acall(services, handler, scope)

        with pytest.raises(ExceptionGroup) as caught:
            asyncio.run(scenario())
        assert [type(error) for error in caught.value.exceptions] == [KeyError, ValueError]
        assert log == ["second"]

    def test_a_cancellation_waits_for_the_other_clean_ups_and_goes_on(self) -> None:
        log: list[str] = []

        def first() -> Iterator[Database]:
            yield Database()
            log.append("first")
            raise ValueError("first")

        async def second() -> AsyncIterator[Session]:
            yield Session()
            await asyncio.sleep(60)

        def handler(database: Database, session: Session) -> None: ...

        async def scenario() -> BaseException | None:
            services = new_services()
            services.scoped(Database, first)
            services.scoped(Session, second)
            scope = services.open_scope()
            await acall(services, handler, scope)
            closing = asyncio.create_task(scope.aclose())
            await asyncio.sleep(0)
            closing.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await closing
            return caught.value.__cause__

        cause = asyncio.run(scenario())
        assert log == ["first"]
        assert isinstance(cause, ExceptionGroup)

    def test_a_scope_closed_twice_cleans_up_once(self) -> None:
        log: list[str] = []

        def make() -> Iterator[Session]:
            yield Session()
            log.append("closed")

        async def scenario() -> None:
            services = new_services()
            services.scoped(Session, make)
            scope = services.open_scope()
            call(services, take_session, scope)
            await scope.aclose()
            await scope.aclose()

        asyncio.run(scenario())
        assert log == ["closed"]

    def test_a_scope_may_be_closed_by_another_task(self) -> None:
        log: list[str] = []

        async def make() -> AsyncIterator[Session]:
            yield Session()
            log.append("closed")

        async def scenario() -> None:
            services = new_services()
            services.scoped(Session, make)
            scope = services.open_scope()
            await asyncio.create_task(acall(services, take_session, scope))
            await asyncio.create_task(scope.aclose())

        asyncio.run(scenario())
        assert log == ["closed"]

    def test_what_was_made_before_a_later_service_failed_is_cleaned_up(self) -> None:
        log: list[str] = []

        def session() -> Iterator[Session]:
            yield Session()
            log.append("closed")

        def database() -> Database:
            raise OSError("no database")

        def handler(session: Session, database: Database) -> None: ...

        async def scenario() -> None:
            services = new_services()
            services.scoped(Session, session)
            services.scoped(Database, database)
            async with services.open_scope() as scope:
                call(services, handler, scope)

        with pytest.raises(OSError, match="no database"):
            asyncio.run(scenario())
        assert log == ["closed"]

    def test_singletons_are_cleaned_up_when_the_services_are_closed(self) -> None:
        log: list[str] = []

        async def database() -> AsyncIterator[Database]:
            yield Database()
            log.append("database")

        def warehouse(database: Database) -> Iterator[Warehouse]:
            yield Warehouse(database)
            log.append("warehouse")

        async def scenario() -> None:
            services = new_services()
            services.singleton(Database, database)
            services.singleton(Warehouse, warehouse)
            async with services.open_scope() as scope:
                await acall(services, take_warehouse, scope)
            log.append("scope closed")
            await services.aclose()

        asyncio.run(scenario())
        assert log == ["scope closed", "warehouse", "database"]

    def test_what_a_singleton_is_made_of_outlives_the_message_that_made_it(self) -> None:
        log: list[str] = []

        def database() -> Iterator[Database]:
            yield Database()
            log.append("database")

        async def scenario() -> None:
            services = new_services()
            services.transient(Database, database)
            services.singleton(Warehouse)
            async with services.open_scope() as scope:
                call(services, take_warehouse, scope)
            log.append("scope closed")
            await services.aclose()

        asyncio.run(scenario())
        assert log == ["scope closed", "database"]

    def test_closed_services_make_new_singletons_and_keep_instances(self) -> None:
        services = new_services()
        database = Database()
        services.singleton(Database, database)
        services.singleton(Warehouse)
        before = call(services, take_warehouse)
        asyncio.run(services.aclose())
        after = call(services, take_warehouse)
        assert after is not before
        assert after.database is database

    @pytest.mark.parametrize("kind", ["sync", "async"])
    def test_a_factory_that_yields_nothing_or_twice_is_refused(self, kind: str) -> None:
        def sync(times: int) -> Iterator[Session]:
            for _ in range(times):
                yield Session()

        async def asynchronous(times: int) -> AsyncIterator[Session]:
            for _ in range(times):
                yield Session()

        factory = {"sync": sync, "async": asynchronous}[kind]

        async def scenario(times: int) -> None:
            services = new_services()
            services.singleton(int, times)
            services.scoped(Session, factory)
            async with services.open_scope() as scope:
                await acall(services, take_session, scope)

        with pytest.raises(ServiceError, match="factory of Session yields nothing"):
            asyncio.run(scenario(0))
        with pytest.raises(ExceptionGroup) as caught:
            asyncio.run(scenario(2))
        assert isinstance(caught.value.exceptions[0], ServiceError)

    @pytest.mark.parametrize("kind", ["sync", "async"])
    def test_a_context_manager_of_contextlib_is_the_factory_that_it_stands_around(
        self, kind: str
    ) -> None:
        log: list[str] = []

        @contextmanager
        def sync() -> Iterator[Session]:
            yield Session()
            log.append("cleaned up")

        @asynccontextmanager
        async def asynchronous() -> AsyncIterator[Session]:
            yield Session()
            log.append("cleaned up")

        async def scenario() -> None:
            services = new_services()
            services.scoped(Session, {"sync": sync, "async": asynchronous}[kind])
            async with services.open_scope() as scope:
                assert isinstance(await acall(services, take_session, scope), Session)
                assert log == []

        asyncio.run(scenario())
        assert log == ["cleaned up"]

    def test_closing_the_system_cleans_up_singletons_when_awaited(self) -> None:
        log: list[str] = []

        async def session() -> AsyncIterator[Session]:
            yield Session()
            log.append("cleaned up")

        async def scenario() -> None:
            system = System(seed=7)
            system.services.singleton(Session, session)
            await acall(system.services, take_session, None)
            closed = system.close()
            assert log == []
            await closed

        asyncio.run(scenario())
        assert log == ["cleaned up"]

    def test_a_factory_that_answers_a_coroutine_or_generator_is_refused(self) -> None:
        async def coroutine() -> Session:
            return Session()

        def generator() -> Iterator[Session]:
            yield Session()

        for make, what in ((coroutine, "coroutine"), (generator, "generator")):
            services = new_services()
            services.scoped(Session, lambda make=make: make())
            with pytest.raises(ServiceError, match=f"returns a {what}"):
                call(services, take_session, services.open_scope())


class TestRegisteringAgain:
    def test_it_replaces_and_drops_the_old_singleton(self) -> None:
        services = new_services()
        services.singleton(Database)
        plan = planned(services, take_database)
        before = plan.call(*plan.bind(None, None))
        services.singleton(Database)
        after = plan.call(*plan.bind(None, None))
        assert after is not before
        assert repr(services) == "Services(Database: singleton)"

    def test_it_drops_the_singletons_made_from_the_old_one(self) -> None:
        class Shop:
            def __init__(self, warehouse: Warehouse) -> None:
                self.warehouse = warehouse

        services = new_services()
        for service in (Database, Warehouse, Shop):
            services.singleton(service)
        plan = planned(services, _taking(Shop))
        plan.bind(None, None)
        database = Database()
        services.singleton(Database, database)
        assert plan.call(*plan.bind(None, None)).warehouse.database is database

    def test_it_keeps_the_singletons_that_have_nothing_to_do_with_it(self) -> None:
        services = new_services()
        services.singleton(Database)
        before = call(services, take_database)
        services.singleton(Session)
        assert call(services, take_database) is before

    def test_a_service_that_took_a_default_takes_the_service_once_there_is_one(self) -> None:
        class Shop:
            def __init__(self, database: Database | None = None) -> None:
                self.database = database

        services = new_services()
        services.singleton(Shop)
        plan = planned(services, _taking(Shop))
        assert plan.call(*plan.bind(None, None)).database is None
        services.singleton(Database)
        assert isinstance(plan.call(*plan.bind(None, None)).database, Database)

    def test_the_lifetime_may_change(self) -> None:
        services = new_services()
        services.singleton(Session)
        plan = planned(services, take_session)
        plan.bind(None, None)
        services.scoped(Session)
        assert plan.needs_scope
        assert repr(services) == "Services(Session: scoped)"

    def test_a_plan_made_before_a_service_was_registered_finds_it(self) -> None:
        services = new_services()
        plan = planned(services, take_database)
        with pytest.raises(ServiceNotFoundError):
            plan.bind(None, None)
        services.singleton(Database)
        assert isinstance(plan.call(*plan.bind(None, None)), Database)

    def test_a_class_defined_again_is_the_same_service(self) -> None:
        def cell() -> type:
            class Stock: ...

            return Stock

        old, new = cell(), cell()
        services = new_services()
        services.singleton(old)
        assert type(call(services, _taking(new))) is old
        services.singleton(new)
        assert type(call(services, _taking(old))) is new
        assert repr(services) == "Services(Stock: singleton)"

    def test_a_parametrised_type_of_a_class_defined_again_is_the_same_service(self) -> None:
        def cell() -> type:
            class Order: ...

            return Order

        services = new_services()
        services.singleton(Validator[cell()], "validator")  # type: ignore[misc]
        assert call(services, _taking(Validator[cell()])) == "validator"  # type: ignore[misc]

    def test_a_contextual_class_defined_again_is_the_same_type(self) -> None:
        def cell() -> type:
            class Unit: ...

            return Unit

        context = types.SimpleNamespace(unit="the unit")
        plan = Services({cell(): "unit"}).plan(_taking(cell()), handler="handler")
        assert list(plan.bind(context, None)) == ["the unit"]

    def test_a_singleton_still_being_made_does_not_replace_the_new_one(self) -> None:
        async def make() -> Database:
            await asyncio.sleep(0)
            return Database()

        async def scenario() -> tuple[Any, Any]:
            services = new_services()
            services.singleton(Database, make)
            asking = asyncio.create_task(acall(services, take_database))
            await asyncio.sleep(0)
            new = Database()
            services.singleton(Database, new)
            await asking
            return new, call(services, take_database)

        new, injected = asyncio.run(scenario())
        assert injected is new

    def test_a_singleton_still_being_made_from_the_old_one_is_not_kept(self) -> None:
        async def make(database: Database) -> Warehouse:
            await asyncio.sleep(0)
            return Warehouse(database)

        async def scenario() -> tuple[Any, Any]:
            services = new_services()
            services.singleton(Database)
            services.singleton(Warehouse, make)
            asking = asyncio.create_task(acall(services, take_warehouse))
            await asyncio.sleep(0)
            new = Database()
            services.singleton(Database, new)
            await asking
            return new, await acall(services, take_warehouse)

        new, warehouse = asyncio.run(scenario())
        assert warehouse.database is new

    def test_plans_that_nobody_holds_are_let_go(self) -> None:
        services = new_services()
        services.singleton(Database)
        plan = planned(services, take_database)
        plan.bind(None, None)
        seen = weakref.ref(plan)
        del plan
        gc.collect()
        assert seen() is None


class TestRefused:
    def test_a_missing_service_names_handler_parameter_and_type(self) -> None:
        with pytest.raises(ServiceNotFoundError) as caught:
            call(new_services(), take_database)
        assert str(caught.value) == (
            "handler shop.handler(database: Database): no service is registered for Database. "
            "Register it with services.singleton(Database), .scoped or .transient, or give the "
            "parameter a default"
        )

    def test_a_service_missing_further_down_names_the_way_to_it(self) -> None:
        services = new_services()
        services.singleton(Warehouse)
        way = (
            r"shop\.handler\(warehouse: Warehouse\) -> Warehouse\(database: Database\): no service"
        )
        with pytest.raises(ServiceNotFoundError, match=way):
            call(services, take_warehouse)

    def test_a_missing_base_names_the_registered_class_that_derives_from_it(self) -> None:
        class SqliteDatabase(Database): ...

        services = new_services()
        services.singleton(SqliteDatabase)
        with pytest.raises(ServiceNotFoundError, match=r"singleton\(Database, SqliteDatabase\)"):
            call(services, take_database)

    def test_a_class_of_the_same_name_from_elsewhere_is_told_apart(self) -> None:
        other = type("Database", (), {"__module__": "elsewhere"})
        services = new_services()
        services.singleton(other)
        with pytest.raises(ServiceNotFoundError, match=r"registered is elsewhere\.Database"):
            call(services, take_database)

    def test_a_missing_abstract_service_asks_for_what_provides_it(self) -> None:
        class Mailer(ABC):
            @abstractmethod
            def send(self) -> None: ...

        with pytest.raises(ServiceNotFoundError, match=r"singleton\(Mailer, what_provides_it\)"):
            call(new_services(), _taking(Mailer))

    def test_a_union_without_a_default_is_missing_under_its_own_name(self) -> None:
        with pytest.raises(ServiceNotFoundError, match=r"no service is registered for int \| str"):
            call(new_services(), _taking(int | str))

    def test_a_singleton_that_takes_a_scoped_service(self) -> None:
        class Cache:
            def __init__(self, session: Session) -> None: ...

        services = new_services()
        services.scoped(Session)
        with pytest.raises(ServiceLifetimeError, match=r"Cache .*session: Session.* is scoped"):
            services.singleton(Cache)

    def test_a_singleton_that_takes_a_unit_of_work(self) -> None:
        class Cache:
            def __init__(self, uow: UnitOfWork) -> None: ...

        with pytest.raises(ServiceLifetimeError, match=r"Cache would keep .*uow: UnitOfWork"):
            new_services().singleton(Cache)

    def test_a_singleton_factory_that_takes_a_unit_of_work(self) -> None:
        def make(uow: UnitOfWork) -> Session:
            return Session()

        with pytest.raises(ServiceLifetimeError, match="Session would keep"):
            new_services().singleton(Session, make)

    def test_a_singleton_that_reaches_a_scoped_service_through_a_transient_one(self) -> None:
        class Middle:
            def __init__(self, session: Session) -> None: ...

        class Cache:
            def __init__(self, middle: Middle) -> None: ...

        services = new_services()
        services.scoped(Session)
        services.transient(Middle)
        with pytest.raises(ServiceLifetimeError, match=r"Cache .*session: Session, through Middle"):
            services.singleton(Cache)

    def test_a_singleton_whose_need_becomes_scoped_later_when_it_is_used(self) -> None:
        services = new_services()
        services.singleton(Warehouse)
        services.scoped(Database)
        with pytest.raises(ServiceLifetimeError, match="Warehouse would keep"):
            call(services, take_warehouse)

    def test_a_singleton_that_takes_what_one_plan_calls_contextual(self) -> None:
        class Cache:
            def __init__(self, clock: Clock) -> None: ...

        services = new_services()
        services.singleton(Cache)
        plan = services.plan(_taking(Cache), handler="handler", contextual={Clock: "clock"})
        with pytest.raises(ServiceLifetimeError, match="clock: Clock"):
            plan.check()

    def test_a_contextual_type_that_is_registered_too_may_be_kept(self) -> None:
        class Cache:
            def __init__(self, clock: Clock) -> None:
                self.clock = clock

        class Shop:
            def __init__(self, cache: Cache) -> None:
                self.cache = cache

        clock = Clock()
        services = Services({Clock: "clock"})
        services.singleton(Clock, clock)
        services.transient(Cache)
        services.singleton(Shop)
        assert call(services, _taking(Shop)).cache.clock is clock

    def test_a_refused_registration_changes_nothing(self) -> None:
        class Cache:
            def __init__(self, uow: UnitOfWork) -> None: ...

        services = new_services()
        cache = types.SimpleNamespace()
        services.singleton(Cache, cache)
        with pytest.raises(ServiceLifetimeError):
            services.singleton(Cache)
        assert call(services, _taking(Cache)) is cache
        fresh = new_services()
        with pytest.raises(ServiceLifetimeError):
            fresh.singleton(Cache)
        assert repr(fresh) == "Services()"

    @pytest.mark.parametrize("lifetime", ["singleton", "scoped", "transient"])
    def test_services_that_need_each_other_in_a_circle(self, lifetime: str) -> None:
        class Egg:
            def __init__(self, hen: "Hen") -> None: ...

        class Hen:
            def __init__(self, egg: Egg) -> None: ...

        Egg.__init__.__annotations__["hen"] = Hen
        services = new_services()
        getattr(services, lifetime)(Egg)
        with pytest.raises(ServiceError, match="in a circle: Hen -> Egg -> Hen"):
            getattr(services, lifetime)(Hen)

    def test_a_service_that_needs_itself(self) -> None:
        class Node:
            def __init__(self, parent: "Node") -> None: ...

        Node.__init__.__annotations__["parent"] = Node
        with pytest.raises(ServiceError, match="in a circle: Node -> Node"):
            new_services().transient(Node)

    def test_an_abstract_class_without_a_provider(self) -> None:
        class Mailer(Protocol):
            def send(self) -> None: ...

        with pytest.raises(ServiceError, match="Mailer is abstract"):
            new_services().singleton(Mailer)

    def test_an_instance_that_is_not_a_singleton(self) -> None:
        with pytest.raises(ServiceError, match=r"use services\.singleton"):
            new_services().scoped(Session, Session())

    def test_a_service_that_is_not_a_type(self) -> None:
        with pytest.raises(ServiceError, match="the first is a Session"):
            new_services().singleton(Session())
        with pytest.raises(ServiceError, match="the first is a function"):
            new_services().singleton(take_session)

    def test_a_new_type_without_a_provider(self) -> None:
        Url = NewType("Url", str)
        with pytest.raises(ServiceError, match="Url is not a class: say what provides it"):
            new_services().singleton(Url)

    def test_a_provider_with_a_parameter_without_a_type(self) -> None:
        services = new_services()
        with pytest.raises(ServiceError, match="Session: parameter url has no type"):
            services.scoped(Session, lambda url: Session())
        assert repr(services) == "Services()"


class TestManyOfAType:
    def test_all_services_whose_class_derives_from_it_in_order(self) -> None:
        class Positive(Validator[PlaceOrder]): ...

        class Other(Validator[CancelOrder]): ...

        class KnownCustomer(Validator[PlaceOrder]): ...

        services = new_services()
        for service in (Positive, Other, KnownCustomer):
            services.singleton(service)
        services.singleton(Validator[PlaceOrder], "the plain one")
        found = services.many(Validator[PlaceOrder]).bind(None, None)
        assert [getattr(type(each), "__name__", "") for each in found] == [
            "Positive",
            "KnownCustomer",
            "str",
        ]

    def test_what_is_registered_later_is_found_and_what_runs_again_is_not_doubled(self) -> None:
        services = new_services()
        plan = services.many(Validator[PlaceOrder])
        assert plan.empty

        def cell() -> None:
            class Positive(Validator[PlaceOrder]): ...

            services.scoped(Positive)

        cell()
        cell()
        assert len(plan.bind(None, services.open_scope())) == 1

    def test_they_are_injected_and_live_as_registered(self) -> None:
        class Positive(Validator[PlaceOrder]):
            def __init__(self, uow: UnitOfWork, database: Database) -> None:
                self.uow = uow

        services = new_services()
        services.singleton(Database)
        services.scoped(Positive)
        plan = services.many(Validator[PlaceOrder])
        assert (plan.needs_scope, plan.contextual) == (True, True)
        context = Context()
        (positive,) = plan.bind(context, services.open_scope())
        assert positive.uow is context.uow

    def test_a_missing_service_names_the_one_that_needs_it(self) -> None:
        class Positive(Validator[PlaceOrder]):
            def __init__(self, database: Database) -> None: ...

        services = new_services()
        services.singleton(Positive)
        with pytest.raises(ServiceNotFoundError, match=r"^Positive\(database: Database\): no"):
            services.many(Validator[PlaceOrder]).check()

    def test_a_singleton_among_them_that_would_keep_a_unit_of_work(self) -> None:
        class Positive(Validator[PlaceOrder]):
            def __init__(self, clock: Clock) -> None: ...

        services = new_services()
        services.singleton(Positive)
        with pytest.raises(ServiceLifetimeError, match="Positive would keep"):
            services.many(Validator[PlaceOrder], contextual={Clock: "clock"}).check()


def test_the_repr_lists_services_in_the_order_registered() -> None:
    services = new_services()
    services.singleton(Warehouse)
    services.scoped(Session)
    services.transient(Validator[PlaceOrder], lambda: None)
    assert (
        repr(services)
        == "Services(Warehouse: singleton, Session: scoped, Validator[PlaceOrder]: transient)"
    )


LIFETIMES = ("singleton", "scoped", "transient")
KINDS = ("class", "sync", "async", "generator", "async generator")


@st.composite
def service_graphs(draw: st.DrawFn) -> list[tuple[str, str, list[int]]]:
    """Lifetime, kind and needs of some services; each needs only earlier ones."""
    size = draw(st.integers(1, 6))
    earlier = [st.lists(st.integers(0, i - 1), max_size=3, unique=True) for i in range(1, size)]
    return [
        (
            draw(st.sampled_from(LIFETIMES)),
            draw(st.sampled_from(KINDS)),
            draw(earlier[i - 1]) if i else [],
        )
        for i in range(size)
    ]


class Recorder:
    """Registers a graph of services, each of which notes when it is made and cleaned up."""

    def __init__(self, graph: list[tuple[str, str, list[int]]]) -> None:
        self.graph, self.services = graph, new_services()
        self.made: list[int] = []
        self.cleaned_up: list[int] = []
        self.types = [type(f"S{i}", (), {}) for i in range(len(graph))]

    def register(self, number: int) -> None:
        lifetime, kind, _ = self.graph[number]
        getattr(self.services, lifetime)(self.types[number], self.provider(number, kind))

    def provider(self, number: int, kind: str) -> Any:
        service = self.types[number]

        def make() -> Any:
            self.made.append(number)
            return service()

        def sync(*needs: Any) -> Any:
            return make()

        async def asynchronous(*needs: Any) -> Any:
            await asyncio.sleep(0)
            return make()

        def generator(*needs: Any) -> Iterator[Any]:
            yield make()
            self.cleaned_up.append(number)

        async def async_generator(*needs: Any) -> AsyncIterator[Any]:
            await asyncio.sleep(0)
            for instance in generator():
                yield instance

        if kind == "class":
            made = type(
                f"M{number}", (service,), {"__init__": lambda self, *needs: make() and None}
            )
            made.__init__.__signature__ = self.signature(number, bound=False)  # type: ignore[misc]
            return made
        functions = {
            "sync": sync,
            "async": asynchronous,
            "generator": generator,
            "async generator": async_generator,
        }
        function: Any = functions[kind]
        function.__signature__ = self.signature(number)
        return function

    def signature(self, number: int, *, bound: bool = True) -> inspect.Signature:
        kind = inspect.Parameter.POSITIONAL_ONLY
        needs = [
            inspect.Parameter(f"need{i}", kind, annotation=self.types[i])
            for i in self.graph[number][2]
        ]
        return inspect.Signature(([] if bound else [inspect.Parameter("self", kind)]) + needs)

    def reaches_scoped(self, number: int) -> bool:
        return any(
            self.graph[i][0] == "scoped" or self.reaches_scoped(i) for i in self.graph[number][2]
        )

    def expected(
        self, number: int, singletons: set[int], scoped: set[int], *, kept: bool = False
    ) -> list[tuple[int, bool]]:
        """What is made for one argument, in order, by the plainest possible rules.

        With each stands whether it is kept beyond the message.
        """
        lifetime, _, needs = self.graph[number]
        there = {"singleton": singletons, "scoped": scoped, "transient": set[int]()}[lifetime]
        if number in there:
            return []
        kept = kept or lifetime == "singleton"
        order = [
            each for need in needs for each in self.expected(need, singletons, scoped, kept=kept)
        ]
        there.add(number)
        return [*order, (number, kept)]

    def clean_ups(self, made: list[tuple[int, bool]], *, kept: bool) -> list[int]:
        return [i for i, k in reversed(made) if k is kept and "generator" in self.graph[i][1]]


@given(service_graphs())
@settings(max_examples=100, deadline=None)
def test_any_graph_makes_and_cleans_up_what_the_plainest_rules_say(
    graph: list[tuple[str, str, list[int]]],
) -> None:
    recorder = Recorder(graph)
    services, last = recorder.services, len(graph) - 1
    for number, (lifetime, _, _) in enumerate(graph):
        if lifetime == "singleton" and recorder.reaches_scoped(number):
            with pytest.raises(ServiceLifetimeError):
                recorder.register(number)
            return
        recorder.register(number)
    plan = planned(services, _taking(recorder.types[last]))
    singletons: set[int] = set()
    ever: list[tuple[int, bool]] = []

    async def one_message() -> None:
        recorder.made.clear()
        recorder.cleaned_up.clear()
        async with services.open_scope() as scope:
            for _ in range(2):
                if plan.is_async:
                    await plan.abind(None, scope if plan.needs_scope else None)
                else:
                    plan.bind(None, scope if plan.needs_scope else None)
        scoped: set[int] = set()
        expected = [each for _ in range(2) for each in recorder.expected(last, singletons, scoped)]
        ever.extend(expected)
        assert recorder.made == [number for number, _ in expected]
        assert recorder.cleaned_up == recorder.clean_ups(expected, kept=False)

    async def scenario() -> None:
        await one_message()
        await one_message()
        recorder.cleaned_up.clear()
        await services.aclose()
        assert recorder.cleaned_up == recorder.clean_ups(ever, kept=True)

    asyncio.run(scenario())
