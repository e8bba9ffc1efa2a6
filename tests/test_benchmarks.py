"""The harness of the benchmarks: a row that does less than it says is an error, not a figure."""

from __future__ import annotations

import gc
import json
import re
import warnings
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import __main__ as command
from benchmarks import machine, page
from benchmarks.harness import (
    NotHereError,
    Row,
    Subject,
    Work,
    WorkNotDoneError,
    measure,
    once,
    ratio,
    spread,
)
from benchmarks.marks import Mark
from benchmarks.report import as_text, figures

ROOT = Path(__file__).parent.parent
SEVEN = tuple(range(7))


@pytest.fixture(autouse=True)
def little_garbage() -> Iterator[None]:
    """Rows collect garbage before they begin; what pytest holds is none, and a lot to look at."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def somewhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def a_row(done: Callable[[int], int] = lambda count: count, **options: Any) -> Row:
    async def run(work: Work) -> None:
        with work.timed():
            pass
        work.did(done(work.count))

    return Row("row", "ours", run, **options)


def a_subject(*rows: Row, **options: Any) -> Subject:
    return Subject("key", "Title", "things", "cpu", 10, rows, against="row", **options)


def row_of(run: Callable[[Work], Awaitable[None]], name: str = "row") -> Row:
    return Row(name, "ours", run)


def test_a_row_that_does_its_work_has_a_figure_for_each_round() -> None:
    (measured,) = measure(a_subject(a_row()), rounds=3)
    assert (len(measured.cpu), len(measured.wall), measured.error) == (3, 3, "")


@pytest.mark.parametrize("missing", [1, 5, 10])
def test_a_row_that_does_less_than_it_says_is_an_error(missing: int) -> None:
    (measured,) = measure(a_subject(a_row(lambda count: count - missing)), rounds=3)
    assert "items were done instead of" in measured.error
    assert measured.cpu == []


def test_a_row_that_does_more_than_it_says_is_an_error() -> None:
    with pytest.raises(WorkNotDoneError, match="8 items were done instead of 7"):
        once(a_row(lambda count: count + 1), 7)


def test_a_row_that_finds_the_wrong_order_is_an_error() -> None:
    async def run(work: Work) -> None:
        with work.timed():
            found = [*SEVEN[:5], 6, 5]
        work.did(len(found))
        work.same("order", found, list(SEVEN))

    with pytest.raises(WorkNotDoneError, match="order: "):
        once(row_of(run), 7)


def test_a_row_that_was_not_timed_is_an_error() -> None:
    async def run(work: Work) -> None:
        work.did(work.count)

    with pytest.raises(WorkNotDoneError, match="nothing was timed"):
        once(row_of(run), 7)


def test_a_row_that_is_timed_twice_is_an_error() -> None:
    async def run(work: Work) -> None:
        for _ in range(2):
            with work.timed():
                pass
        work.did(work.count)

    with pytest.raises(WorkNotDoneError, match="timed twice"):
        once(row_of(run), 7)


def test_a_row_that_says_nothing_of_its_outcome_is_an_error() -> None:
    async def run(work: Work) -> None:
        with work.timed():
            pass

    with pytest.raises(WorkNotDoneError, match="None items were done"):
        once(row_of(run), 7)


def test_a_row_that_fails_in_a_late_round_has_no_figure() -> None:
    rounds: list[int] = []

    async def run(work: Work) -> None:
        rounds.append(work.count)
        with work.timed():
            pass
        work.did(work.count - (len(rounds) == 3))

    subject = a_subject(row_of(run))
    found = figures(replace(subject, marks=[Mark("row", "rate", 1)]), measure(subject, rounds=3))
    assert "error" in found["rows"][0]
    assert "seconds" not in found["rows"][0]
    assert found["marks"][0]["met"] is None


def test_a_row_whose_package_is_not_installed_is_skipped_with_its_reason() -> None:
    async def run(work: Work) -> None:
        raise NotHereError("No module named 'peer'")

    subject = a_subject(row_of(run))
    measured = measure(subject, rounds=2)
    assert "skipped: No module named 'peer'" in as_text(subject, measured)


def test_rows_take_turns_and_nobody_is_always_first() -> None:
    order: list[str] = []

    def noting(name: str) -> Row:
        async def run(work: Work) -> None:
            order.append(name)
            with work.timed():
                pass
            work.did(work.count)

        return row_of(run, name)

    measure(a_subject(noting("a"), noting("b")), rounds=3)
    assert "".join(order) == "abbaabba"


def test_the_first_short_turn_is_no_figure() -> None:
    counts: list[int] = []

    async def run(work: Work) -> None:
        counts.append(work.count)
        with work.timed():
            pass
        work.did(work.count)

    measure(a_subject(row_of(run)), rounds=2)
    assert counts == [1, 10, 10]


def test_a_figure_is_for_a_unit_whatever_the_share() -> None:
    async def run(work: Work) -> None:
        work.took(work.count * 6.0, work.count * 12.0)
        work.did(work.count)

    whole, half = Row("row", "ours", run), Row("half", "ours", run, share=0.5)
    measured = measure(a_subject(whole, half, per=3), rounds=1)
    assert [each.cpu for each in measured] == [[2.0], [2.0]]
    assert [each.wall for each in measured] == [[4.0], [4.0]]
    assert [each.count for each in measured] == [10, 5]


def taking(name: str, seconds: float) -> Row:
    async def run(work: Work) -> None:
        work.took(seconds * work.count, seconds * work.count)
        work.did(work.count)

    return row_of(run, name)


@pytest.mark.parametrize(
    ("mark", "figure", "met"),
    [
        (Mark("slow", "cost", 4, "row"), 4.0, True),
        (Mark("slow", "cost", 3.9, "row"), 4.0, False),
        (Mark("row", "faster", 4, "slow"), 4.0, True),
        (Mark("row", "faster", 4.1, "slow"), 4.0, False),
        (Mark("slow", "rate", 0.25), 0.25, True),
        (Mark("slow", "rate", 0.26), 0.25, False),
        (Mark("slow", "within", 40), 40.0, True),
        (Mark("slow", "within", 39), 40.0, False),
        (Mark("absent", "rate", 1), None, None),
    ],
)
def test_a_mark_is_judged_by_the_figures_of_the_run(
    mark: Mark, figure: float | None, met: bool | None
) -> None:
    subject = a_subject(taking("row", 1.0), taking("slow", 4.0), marks=[mark])
    (judged,) = figures(subject, measure(subject, rounds=2))["marks"]
    assert (judged["figure"], judged["met"]) == (figure, met)


def test_ratios_are_those_of_the_rounds_and_not_of_the_medians() -> None:
    fast, slow = measure(a_subject(taking("row", 1.0), taking("slow", 4.0)), rounds=3)
    fast.cpu, slow.cpu = [1.0, 10.0, 2.0], [3.0, 30.0, 6.0]
    assert ratio(slow, fast, "cpu") == 3.0


def test_the_spread_leaves_the_outermost_quarters_out() -> None:
    assert spread([1.0, 2.0, 2.0, 2.0, 9.0]) == 0.0


def test_a_mark_that_is_not_met_is_said_on_the_page(tmp_path: Path) -> None:
    marks = [Mark("slow", "cost", 2, "row"), Mark("absent", "rate", 1)]
    subject = a_subject(taking("row", 1.0), taking("slow", 4.0), marks=marks)
    page.write(
        [figures(subject, measure(subject, rounds=2))], tmp_path / "page.md", tmp_path / "pictures"
    )
    said = (tmp_path / "page.md").read_text("utf-8")
    assert "2 marks: 1 not met, 1 not measured" in said
    assert "| Title | slow: at most 2 x row | 4.00 x | **no** |" in said


def test_pictures_are_the_same_bytes_for_the_same_figures(tmp_path: Path) -> None:
    subject = Subject("publish-10", "Title", "things", "cpu", 10, [taking("row", 1.0)], "row")
    curve = Subject(
        "curve", "Curve", "things", "cpu", 10, [Row("1", "ours", taking("1", 1.0).run, x=1)], "1",
        axis="things before", figure="stores",
    )  # fmt: skip
    results = [figures(each, measure(each, rounds=1)) for each in (subject, curve)]
    for name in ("one", "two"):
        page.write(results, tmp_path / f"{name}.md", tmp_path / name)
    pictures = [
        sorted((file.name, file.read_bytes()) for file in (tmp_path / name).iterdir())
        for name in ("one", "two")
    ]
    assert [name for name, _ in pictures[0]] == [
        "performance-publish.svg",
        "performance-stores.svg",
    ]
    assert pictures[0] == pictures[1]


def test_the_page_shows_what_the_results_say() -> None:
    results = page.load(ROOT / "benchmarks" / "results")
    shown = (ROOT / "docs" / "performance.md").read_text("utf-8")
    assert results
    for result in results:
        for row in result["rows"]:
            assert f"| {row['name']} |" in shown
        for mark in result["marks"]:
            assert f"| {mark['mark']} |" in shown


def test_no_two_subjects_have_the_same_key() -> None:
    keys = [subject.key for subject in command.all_subjects()]
    assert len(set(keys)) == len(keys)


def test_every_mark_names_rows_that_there_are() -> None:
    for subject in command.all_subjects():
        names = {row.name for row in subject.rows}
        for mark in subject.marks:
            assert {mark.row, mark.against} - {""} <= names, mark
        assert subject.against in names


def test_the_peers_are_pinned() -> None:
    lines = machine.PEERS.read_text("utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert [line for line in pins if not re.fullmatch(r"[\w\[\],-]+==[\d.]+", line)] == []
    assert "python-cqrs" in machine.peers()


# Whose rows take their time however little they count, or do what those of another do.
LONG = ("curve-growth", "curve-outbox", "curve-store-frame", "first-picture", "view-graph")
LONG += ("publish-100", "save-memory-10", "save-memory-3", "save-file-10", "save-file-3")
LONG += ("curve-listeners", "curve-handlers-loop")


@pytest.mark.slow
@pytest.mark.parametrize(
    "subject",
    [each for each in command.all_subjects() if not each.key.startswith(LONG)],
    ids=lambda subject: subject.key,
)
def test_every_row_runs_on_tiny_counts(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # for the rows that are processes of their own
    tiny = replace(subject, quick=max(1, subject.count // 100), rounds=0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        broken = command.run([tiny], 1, tmp_path, quick=True)
    assert [(each.name, each.error) for each in broken] == []
    stored = json.loads((tmp_path / f"{subject.key}.json").read_text("utf-8"))
    assert all(row["seconds"] > 0 for row in stored["rows"] if "seconds" in row)
    assert any("seconds" in row for row in stored["rows"])
