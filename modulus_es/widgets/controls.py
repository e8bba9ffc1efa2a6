"""The buttons and knobs of the explorer, which act on the live system."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import ipywidgets as w

from modulus_es.faults import CRASH_POINTS

if TYPE_CHECKING:
    from modulus_es.system import System

Act = Callable[[Callable[[], Coroutine[Any, Any, str]]], None]
Say = Callable[[str], None]

_PARTS = ("loss", "duplicates", "reorder")
EVERYWHERE = "any module"


class Controls:
    """Step, run, replay, the network's knobs and crashes.

    ``act`` runs what takes time, ``say`` shows what happened; ``chosen`` answers
    which dead letter is chosen, (message id, module, handler), or None for all.
    """

    def __init__(
        self,
        system: System,
        act: Act,
        say: Say,
        chosen: Callable[[], tuple[str, str, str] | None],
    ) -> None:
        self._system, self._act, self._say, self._chosen = system, act, say, chosen
        self._showing = False
        self.step = self._button("Step", "Do exactly one thing", self._step)
        self.run = self._button("Run", "Run until nothing is due", self._run)
        self.replay = self._button("Replay dead letters", "Make dead letters pending", self._replay)
        self.knobs = {name: self._knob(name, 0.99, 0.05, self._turn) for name in _PARTS}
        self.knobs["latency from"] = self._knob("latency from", 3600, 0.05, self._delay)
        self.knobs["to"] = self._knob("to", 3600, 0.05, self._delay)
        narrow = w.Layout(width="170px", margin="1px")
        self.point = w.Dropdown(options=CRASH_POINTS, description="crash", layout=narrow)
        self.point.style.description_width = "initial"
        self.where = w.Dropdown(options=[EVERYWHERE], description="in", layout=narrow)
        self.where.style.description_width = "initial"
        self.crash = self._button("Crash", "Let that component die where it gets there", None)
        self.crash.on_click(self._crash)
        self.refresh()

    @property
    def widgets(self) -> list[Any]:
        """All of them, in the order in which they are shown."""
        return [
            self.step, self.run, self.replay, *self.knobs.values(), self.point, self.where,
            self.crash,
        ]  # fmt: skip

    def refresh(self) -> None:
        """Show what the system is like now."""
        network, modules = self._system.network, self._system.modules
        self._showing = True
        try:
            for name in _PARTS:
                self.knobs[name].value = getattr(network, name)
            self.knobs["latency from"].value, self.knobs["to"].value = network.latency
            names = (EVERYWHERE, *(module.name for module in modules))
            if self.where.options != names:
                self.where.options = names
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
        for widget in self.widgets:
            for part in (widget, widget.layout, widget.style):
                part.close()

    def _button(
        self, text: str, said: str, act: Callable[[], Coroutine[Any, Any, str]] | None
    ) -> Any:
        wide = "max-content" if "letters" in text else "64px"
        button = w.Button(description=text, tooltip=said, layout=w.Layout(width=wide, margin="1px"))
        if act is not None:
            button.on_click(lambda _: self._act(act))
        return button

    def _knob(self, name: str, most: float, step: float, turned: Callable[[Any], None]) -> Any:
        # So wide that the fields of the network stand in one line of a usual notebook.
        wide = f"{64 + 7 * len(name)}px"
        knob = w.BoundedFloatText(
            value=0, min=0, max=most, step=step, description=name,
            layout=w.Layout(width=wide, margin="1px"),
        )  # fmt: skip
        knob.style.description_width = "initial"
        knob.observe(turned, names="value")
        return knob

    async def _step(self) -> str:
        step = await self._system.step()
        return "Nothing is due." if step is None else f"One step: {step!r}"

    async def _run(self) -> str:
        return f"{await self._system.run()!r}"

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
            self._say(f"The network: {self._system.network!r}")

    def _crash(self, _: Any) -> None:
        where = None if self.where.value == EVERYWHERE else self.where.value
        self._system.faults.crash(self.point.value, module=where)
        self._say(f"{self._system.faults!r}")
