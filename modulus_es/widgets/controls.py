"""The buttons and knobs of the explorer, which act on the live system."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

import ipywidgets as w

from modulus_es.clock import iso
from modulus_es.faults import CRASH_POINTS
from modulus_es.widgets.home import Home

if TYPE_CHECKING:
    from modulus_es.steps import Run
    from modulus_es.system import System

Act = Callable[[Callable[[], Coroutine[Any, Any, str]]], "asyncio.Task[None]"]
Say = Callable[[str], None]

_PARTS = ("loss", "duplicates", "reorder")
EVERYWHERE = "any module"
_RUN = "Run until nothing is due"
_CUT = "Cut these two modules off from each other"


class Controls:
    """Step, run and stop, replay, the network's knobs and cuts, and crashes.

    ``act`` runs what takes time, ``say`` shows what happened; ``chosen`` answers
    which dead letter is chosen, (message id, module, handler), or None for all.
    All of it happens at ``home``.
    """

    def __init__(
        self,
        system: System,
        act: Act,
        say: Say,
        chosen: Callable[[], tuple[str, str, str] | None],
        home: Home,
    ) -> None:
        self._system, self._act, self._say, self._chosen = system, act, say, chosen
        self._here = home.here
        self._showing = False
        self._goes_on: asyncio.Task[None] | None = None
        self.step = self._button("Step", "Do exactly one thing", self._step)
        self.run = self._button("Run", _RUN, None)
        self.run.on_click(self._here(self._run_or_stop))
        self.replay = self._button("Replay dead letters", "Make dead letters pending", self._replay)
        self.knobs = {name: self._knob(name, 0.99, 0.05, self._turn) for name in _PARTS}
        self.knobs["latency from"] = self._knob("latency from", 3600, 0.05, self._delay)
        self.knobs["to"] = self._knob("to", 3600, 0.05, self._delay)
        self.one, self.other = self._choice("between"), self._choice("and")
        self.cut = self._button("Cut off", _CUT, None)
        self.cut.on_click(self._here(self._cut))
        self.point = self._choice("crash", CRASH_POINTS)
        self.where = self._choice("in", [EVERYWHERE])
        self.crash = self._button("Crash", "Let that component die where it gets there", None)
        self.crash.on_click(self._here(self._crash))
        self.refresh()
        for choice in (self.one, self.other):
            choice.observe(self._here(lambda _: self._offer_cut()), names="value")

    @property
    def groups(self) -> dict[str, list[Any]]:
        """All of them, by what they are about, in the order in which they are shown."""
        return {
            "System": [self.step, self.run, self.replay],
            "Network": [*self.knobs.values(), self.one, self.other, self.cut],
            "Faults": [self.point, self.where, self.crash],
        }

    def refresh(self) -> None:
        """Show what the system is like now."""
        network, modules = self._system.network, self._system.modules
        self._showing = True
        try:
            for name in _PARTS:
                self.knobs[name].value = getattr(network, name)
            self.knobs["latency from"].value, self.knobs["to"].value = network.latency
            names = tuple(module.name for module in modules)
            if self.where.options != (EVERYWHERE, *names):
                self.where.options = (EVERYWHERE, *names)
            if self.one.options != names:
                before = self.one.value, self.other.value
                self.one.options = self.other.options = names
                if len(names) > 1:
                    self.one.value = before[0] or names[0]
                    self.other.value = before[1] or names[1]
            self._offer_cut()
        finally:
            self._showing = False

    def offer(self, dead: int) -> None:
        """Say how many dead letters could be replayed."""
        one = self._chosen() is not None
        self.replay.description = (
            "Replay this dead letter" if one else f"Replay dead letters ({dead:,})"
        )
        self.replay.disabled = not dead

    def close(self) -> None:
        """Let go of everything."""
        for widget in [widget for group in self.groups.values() for widget in group]:
            for part in (widget, widget.layout, widget.style):
                part.close()

    def _button(
        self, text: str, said: str, act: Callable[[], Coroutine[Any, Any, str]] | None
    ) -> Any:
        wide = "max-content" if "letters" in text else "68px"
        button = w.Button(description=text, tooltip=said, layout=w.Layout(width=wide, margin="1px"))
        if act is not None:
            button.on_click(self._here(lambda _: self._act(act)))
        return button

    def _knob(self, name: str, most: float, step: float, turned: Callable[[Any], None]) -> Any:
        # So wide that the fields of the network stand in one line of a usual notebook.
        wide = f"{64 + 7 * len(name)}px"
        knob = w.BoundedFloatText(
            value=0, min=0, max=most, step=step, description=name,
            layout=w.Layout(width=wide, margin="1px"),
        )  # fmt: skip
        knob.style.description_width = "initial"
        knob.observe(self._here(turned), names="value")
        return knob

    def _choice(self, name: str, options: Sequence[str] = ()) -> Any:
        wide = w.Layout(width=f"{150 + 7 * len(name)}px", margin="1px")
        made = w.Dropdown(options=options, description=name, layout=wide)
        made.style.description_width = "initial"
        return made

    async def _step(self) -> str:
        step = await self._system.step()
        if step is not None:
            return f"One step: {repr(step)[1:-1]}"
        # What is blocked is known to a run, even to one that has nothing to do.
        run = await self._system.run()
        return f"No step: {_said(run)}"

    def _run_or_stop(self, _: Any) -> None:
        if self._goes_on is not None:
            self._goes_on.cancel()
            return
        self._goes_on = self._act(self._run)
        self._goes_on.add_done_callback(self._ended)
        self._run_is("Stop", "Stop after what is being done")

    def _ended(self, _: asyncio.Task[None]) -> None:
        self._goes_on = None
        self._run_is("Run", _RUN)

    def _run_is(self, text: str, said: str) -> None:
        if self.run.comm is not None:
            self.run.description, self.run.tooltip = text, said
            self.step.disabled = self._goes_on is not None

    async def _run(self) -> str:
        run = await self._system.run()
        steps = "step" if run.steps == 1 else "steps"
        return f"Ran {run.steps:,} {steps} to {iso(run.time)}; {_said(run)}"

    async def _replay(self) -> str:
        chosen = self._chosen()
        message, module, handler = chosen or (None, None, None)
        count = await self._system.replay_dead_letters(message, module=module, handler=handler)
        return f"{count} to be delivered again: press Run or Step."

    def _turn(self, change: Any) -> None:
        if not self._showing:
            name = change["owner"].description
            setattr(self._system.network, name, change["new"])
            self._say(f"The network: {self._system.network!r}")

    def _delay(self, _: Any) -> None:
        if not self._showing:
            shortest, longest = self.knobs["latency from"].value, self.knobs["to"].value
            self._system.network.latency = (shortest, max(shortest, longest))
            self.refresh()
            self._say(f"The network: {self._system.network!r}")

    def _offer_cut(self) -> None:
        one, other = self.one.value, self.other.value
        self.cut.disabled = one is None or one == other
        cut = not self.cut.disabled and self._system.network.is_cut(one, other)
        self.cut.description = "Heal" if cut else "Cut off"
        self.cut.tooltip = "Let these two modules reach each other again" if cut else _CUT

    def _cut(self, _: Any) -> None:
        network, one, other = self._system.network, self.one.value, self.other.value
        (network.heal if network.is_cut(one, other) else network.partition)(one, other)
        self._offer_cut()
        self._say(f"The network: {network!r}")

    def _crash(self, _: Any) -> None:
        where = None if self.where.value == EVERYWHERE else self.where.value
        self._system.faults.crash(self.point.value, module=where)
        self._say(f"{self._system.faults!r}")


def _said(run: Run) -> str:
    return f"blocked: {'; '.join(run.blocked)}" if run.blocked else "nothing is due"
