"""What is exported is what the design promises, importable and documented."""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator

import pytest

import modulus_es
import modulus_es.testing.contracts

# The words of the design that a reader imports from the package itself.
PROMISED = """
    Aggregate DomainEvent event UnknownEvent
    Command Query StreamQuery IntegrationEvent Envelope
    Result Success Failure Error
    CommandHandler QueryHandler StreamQueryHandler DomainEventHandler IntegrationEventHandler
    Behavior Validator Mediator Module System UnitOfWork Projector
    MessageBus Outbox OutboxRelay Inbox DeadLetter Delivery Transport
    Retry SystemClock VirtualClock Trace TraceRecord
    ModulusError ConcurrencyError DuplicateHandlerError HandlerNotFoundError PublishError
    SimulatedCrash
""".split()


def test_the_exported_names_are_sorted_and_each_is_there_once() -> None:
    assert modulus_es.__all__ == sorted(set(modulus_es.__all__))


@pytest.mark.parametrize("name", modulus_es.__all__)
def test_an_exported_name_can_be_imported(name: str) -> None:
    assert hasattr(modulus_es, name)


@pytest.mark.parametrize("name", PROMISED)
def test_a_name_of_the_design_is_exported(name: str) -> None:
    assert name in modulus_es.__all__


def test_nothing_public_is_importable_without_being_exported() -> None:
    public = {
        name
        for name, value in vars(modulus_es).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert public - {"annotations"} - set(modulus_es.__all__) == set()


PUBLIC = [
    (module, name)
    for module in (modulus_es, modulus_es.testing, modulus_es.testing.contracts)
    for name in module.__all__
]


@pytest.mark.parametrize(
    ("module", "name"), PUBLIC, ids=[f"{module.__name__}.{name}" for module, name in PUBLIC]
)
def test_an_exported_name_is_documented_with_an_example(
    module: types.ModuleType, name: str
) -> None:
    documented = getattr(module, name).__doc__ or ""
    assert documented.strip().split(">>> ")[0]
    assert ">>> " in documented


def public_members() -> Iterator[tuple[str, object]]:
    """Methods and properties that our own exported classes define and offer."""
    for module, name in PUBLIC:
        exported = getattr(module, name)
        for owner in inspect.getmro(exported) if inspect.isclass(exported) else ():
            if owner.__module__.startswith("modulus_es"):
                for attribute, member in vars(owner).items():
                    callable_member = inspect.isroutine(member) or isinstance(member, property)
                    # A contract's tests are named like the specification.
                    if callable_member and not attribute.startswith(("_", "test_")):
                        yield f"{owner.__qualname__}.{attribute}", member


@pytest.mark.parametrize(("name", "member"), sorted(dict(public_members()).items()))
def test_a_public_method_is_documented(name: str, member: object) -> None:
    assert inspect.getdoc(member)
