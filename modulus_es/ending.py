"""How a unit of work ends: written, with what follows, or undone; and cleaned up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from modulus_es import ambient
from modulus_es.commit import commit
from modulus_es.errors import ModulusError, PublishError
from modulus_es.failures import told
from modulus_es.trace import TraceRecord

if TYPE_CHECKING:
    from modulus_es.dispatcher import Strategy
    from modulus_es.domain import DomainEvent
    from modulus_es.groups import Committing
    from modulus_es.injection import Scope
    from modulus_es.module import Module
    from modulus_es.unit_of_work import UnitOfWork


class Ending:
    """The part of a `UnitOfWork` that ends it, which derives from this class."""

    module: Module
    store: Committing
    handler: str
    committed: bool | None = None
    writing = False
    transaction: Any = None
    _closed = False
    _scope: Scope | None = None

    async def complete(self) -> None:
        """Commit, run what follows and clean up; what `commit` says holds here too."""
        if self._closed:
            raise self._is_over("commit")
        system = self.module.system
        here = None if ambient.chosen() is system else ambient.choose(system)
        try:
            try:
                events = await commit(cast("UnitOfWork", self))
            except BaseException:
                await self.rollback()
                raise
            self._closed = True
            if events or self._scope is not None:
                await self._follow_up(events)
        finally:
            if here is not None:
                ambient.unchoose(here)

    async def _follow_up(self, events: Sequence[tuple[DomainEvent, Strategy | None]]) -> None:
        """Run what follows the commit, and clean up; all that fails is one `PublishError`."""
        failed: PublishError | None = None
        try:
            if events:
                await self.module.dispatcher.after_commit(events, cast("UnitOfWork", self))
        except PublishError as error:
            failed = error
        try:
            await self.close()
        except ExceptionGroup as group:
            earlier = failed.exceptions if failed else ()
            failed = PublishError(group.message, [*earlier, *group.exceptions])
        if failed is not None:
            raise failed

    async def rollback(self) -> None:
        """Write nothing; what was loaded, added and noted is let go of."""
        if not self._closed:
            self._closed = True
            if not self.writing:
                self.committed = False
            if self.transaction is not None and not self.committed:
                await self.store.rollback(self.transaction)

    async def abandon(self, error: BaseException) -> None:
        """Undo everything because of ``error``, which is more important than the clean-up's."""
        await self.rollback()
        try:
            await self.close()
        except Exception as failure:
            error.add_note(f"cleaning up failed as well: {failure!r}")
            system = self.module.system
            said = told(failure)
            system.trace.add(
                TraceRecord(
                    system.now(), "failure", self.module.name, handler=self.handler, error=said
                )
            )

    async def close(self) -> None:
        """Clean up what lives as long as this unit of work."""
        if self._scope is not None:
            scope, self._scope = self._scope, None
            await scope.aclose()

    def _is_over(self, what: str) -> ModulusError:
        """What to raise where something belongs to a unit of work that has ended."""
        state = "committed" if self.committed else "rolled back"
        return ModulusError(
            f"{what}: this unit of work is {state} already; a new one begins with "
            f"`async with {self.module.name}.unit_of_work() as uow:`"
        )
