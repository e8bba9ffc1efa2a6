"""Ten thousand hostile strings as payloads, fields and errors, each shown by the inspector."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hostile_pictures import strings
from live_lab import Sheet
from sentinel import IN_PAGE

from modulus_es.views.text import shown

pytestmark = [pytest.mark.slow, pytest.mark.browser]

TESTS = str(Path(__file__).parent.parent)
# Lone surrogates are refused when they are recorded; so a message has none.
PAYLOADS = f"""
import json, sys
sys.path.insert(0, {TESTS!r})
from hostile_pictures import strings
from modulus_es import Aggregate, IntegrationEvent, Retry, System, UnitOfWork, event

class Said(IntegrationEvent):
    number: int
    texts: list[str]

class Note(Aggregate):
    @event("Written")
    def __init__(self, texts: list[str]) -> None:
        self.texts = texts
        self.last = texts[-1]

system = System(seed=7)
here, there = system.module("here"), system.module("there")

@there.on(Said, retry=Retry(attempts=1))
async def hear(said: Said, uow: UnitOfWork) -> None:
    if said.number % 2:
        raise RuntimeError(" ".join(said.texts))
    uow.add(Note(said.texts))

# As many in one message as the inspector shows before it cuts.
batches, size = [[]], 0
for text in (text.encode("utf-8", "replace").decode() for text in strings()):
    line = len(json.dumps(text, ensure_ascii=False)) + 6
    size += line
    if size > 3950:
        batches.append([])
        size = line
    batches[-1].append(text)
for number, texts in enumerate(batches):
    await here.bus.publish(Said(number, texts))
await system.run()
explorer = system.explore()
explorer
"""
# Choose each delivery and wait for its payload; what could act is looked for in each of them.
READ = f"""
async (marks) => {{
  const made = ({IN_PAGE});
  const texts = [];
  const acting = [];
  for (const [number, mark] of marks.entries()) {{
    const place = document.querySelector(`.mes-mark[data-mark="${{mark}}"]`);
    place.dispatchEvent(new MouseEvent("click", {{ bubbles: true }}));
    const said = () => [...document.querySelectorAll(".mes-inspector-area pre")]
      .map((pre) => pre.textContent)
      .find((text) => text.startsWith(`{{\\n  "number": ${{number}},`));
    const until = performance.now() + 20000;
    while (!said() && performance.now() < until) await new Promise((go) => setTimeout(go, 5));
    texts.push(said() ?? "");
    acting.push(...made(".mes-inspector-area"));
  }}
  acting.push(...made(".mes-explorer"));
  return [texts, acting];
}}
"""


def test_nothing_of_ten_thousand_hostile_payloads_acts_and_each_is_shown(
    sheet: Callable[..., Sheet],
) -> None:
    opened = sheet(PAYLOADS).explored()
    usual = opened.page.viewport_size
    # What nobody looks at need not be painted.
    opened.page.set_viewport_size({"width": usual["width"], "height": 300})
    ends = "[i for i, m in enumerate(explorer.marks) if m.kind in ('done', 'dead') and m.handler == 'hear']"  # noqa: E501
    assert opened.value("len(batches)") == opened.value(f"len({ends})")
    texts, acting = opened.ask(READ, opened.value(ends), what="every payload", seconds=240)
    assert acting == []
    lines = {line for text in texts for line in text.split("\n")}
    sent = (text.encode("utf-8", "replace").decode() for text in strings() if len(text) < 1000)
    wanted = {shown(f"    {json.dumps(text, ensure_ascii=False)}", 4000) for text in sent}
    missing = [line for line in wanted if line not in lines and f"{line}," not in lines]
    assert missing == []
    # A million letters are cut, and counted.
    assert sum(bool(re.search(r"… \+\d{6,}$", text)) for text in texts) == 2
    opened.page.set_viewport_size(usual)
    opened.shot("hostile-payloads")
