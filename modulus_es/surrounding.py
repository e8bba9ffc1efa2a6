"""How behaviours are registered, and how a request goes through them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from inspect import getclosurevars, isawaitable, isclass, isfunction
from typing import TYPE_CHECKING, Any, NoReturn

from modulus_es.answers import as_result
from modulus_es.errors import HandlerSignatureError, PublishError, ServiceLifetimeError

if TYPE_CHECKING:
    from modulus_es.behaviors import Proceed
    from modulus_es.bus import MessageBus
    from modulus_es.injection import Scope
    from modulus_es.mediator import Mediator
    from modulus_es.module import Module
    from modulus_es.result import Result
    from modulus_es.services import Services
    from modulus_es.unit_of_work import UnitOfWork


class Around:
    """What a behaviour may take by type: everything of its call but a unit of work."""

    def __init__(self, mediator: Mediator, module: Module, uow: UnitOfWork | None) -> None:
        self.mediator, self.module = mediator, module
        self.bus: MessageBus = module.bus if uow is None else uow.bus
        self.scope: Scope = module.system.services.open_scope()

    @property
    def unit_of_work(self) -> NoReturn:
        """There is none: it would belong to nobody."""
        raise ServiceLifetimeError(
            "a behaviour stands outside the unit of work of what it surrounds, which may be "
            "several: let it take the Mediator or the Module instead of a UnitOfWork"
        )


class Surrounding:
    """One registered behaviour: a class to be made by injection, an object, or a function."""

    def __init__(self, target: Any, services: Services) -> None:
        self._target = target
        handle = getattr(target, "handle", None)
        if handle is None and (isclass(target) or not callable(target)):
            raise HandlerSignatureError(
                f"a behaviour has a method handle(request, proceed), and {target!r} has none"
            )
        named = target if hasattr(target, "__qualname__") else type(target)
        self.name: str = named.__qualname__
        self._place = (named.__module__, self.name)
        self._plan = services.plan(target, handler=self.name) if isclass(target) else None
        self._function: Any = handle or target

    def replaces(self, other: Surrounding) -> bool:
        """Whether it is the other one again, as when a cell runs twice.

        Objects of one class, and functions made by one, are told apart by what
        they hold.
        """
        return self._place == other._place and _held(self._target) == _held(other._target)

    async def run(self, around: Around, request: Any, proceed: Proceed) -> Any:
        """Go through this behaviour."""
        function = self._function
        if self._plan is not None:
            plan = self._plan
            bound = (
                await plan.abind(around, around.scope)
                if plan.is_async
                else plan.bind(around, around.scope)
            )
            function = plan.call(*bound).handle
        answer = function(request, proceed)
        return await answer if isawaitable(answer) else answer

    def __repr__(self) -> str:
        return f"Surrounding({self.name})"


def _held(target: Any) -> Any:
    if isclass(target):
        return None
    if isfunction(target):
        return getclosurevars(target).nonlocals
    return vars(target) if hasattr(target, "handle") and hasattr(target, "__dict__") else target


def with_behaviors(
    held: Iterable[Surrounding], targets: Iterable[Any], services: Services
) -> list[Surrounding]:
    """The behaviours with these added, each in the place of its former self if it had one."""
    behaviors = list(held)
    for target in targets:
        new = Surrounding(target, services)
        for index, old in enumerate(behaviors):
            if new.replaces(old):
                behaviors[index] = new
                break
        else:
            behaviors.append(new)
    return behaviors


async def surround(
    behaviors: Sequence[Surrounding],
    request: Any,
    innermost: Proceed,
    mediator: Mediator,
    module: Module,
    uow: UnitOfWork | None,
) -> Result[Any]:
    """Answer a request through all behaviours, the first of them outermost."""
    around = Around(mediator, module, uow)
    proceed = innermost
    for behavior in reversed(behaviors):
        proceed = partial(behavior.run, around, request, proceed)
    try:
        answer = as_result(await proceed(), type(request), "a behaviour")
    except BaseException:
        await around.scope.aclose()
        raise
    try:
        await around.scope.aclose()
    except ExceptionGroup as group:
        raise PublishError(group.message, group.exceptions, answer) from None
    return answer
