"""`Result` and `Error`: what a command or query answers."""

from __future__ import annotations

import pytest

from modulus_es import Error, Failure, Result, ResultError, Success
from modulus_es.answers import as_result
from modulus_es.errors import HandlerResultError
from modulus_es.messages import Command, Query

KINDS = ("failure", "validation", "not_found", "conflict", "unauthorized", "forbidden")


def test_a_success_holds_the_value_and_no_errors() -> None:
    result: Result[int] = Success(42)
    assert (result.value, result.errors, result.is_success, result.is_failure) == (
        42,
        (),
        True,
        False,
    )


def test_a_failure_holds_its_errors_in_order() -> None:
    first, second = Error("a"), Error("b")
    failure = Failure(first, second)
    assert failure.errors == (first, second)
    assert (failure.is_success, failure.is_failure) == (False, True)


def test_a_failure_takes_a_list_of_errors_or_a_plain_text() -> None:
    assert Failure([Error("a"), Error("b")]).errors == (Error("a"), Error("b"))
    assert Failure("a").errors == (Error("a"),)


def test_a_success_is_true_and_a_failure_false() -> None:
    assert Success(0)
    assert not Failure("no")


def test_the_value_of_a_failure_raises_naming_all_errors() -> None:
    failure = Failure(Error.not_found("no order 17"), Error.forbidden("not yours"))
    with pytest.raises(ResultError) as caught:
        _ = failure.value
    assert "not_found: no order 17; forbidden: not yours" in str(caught.value)
    assert caught.value.errors == failure.errors


def test_an_empty_failure_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one Error"):
        Failure()
    with pytest.raises(ValueError, match="at least one Error"):
        Failure([])


def test_a_failure_holds_errors_and_nothing_else() -> None:
    with pytest.raises(TypeError, match="not int"):
        Failure([3])  # type: ignore[list-item]


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_of_each_kind_has_a_maker(kind: str) -> None:
    error = getattr(Error, kind)("why", code="c1")
    assert (error.kind, error.message, error.code) == (kind, "why", "c1")


def test_an_error_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="failure, validation, not_found"):
        Error("why", kind="odd")  # type: ignore[arg-type]


def test_errors_with_equal_content_are_equal() -> None:
    assert Error("a", "conflict") == Error.conflict("a") != Error.conflict("b")


def test_map_applies_to_the_value_and_leaves_a_failure_alone() -> None:
    failure = Failure("no")
    assert Success(20).map(lambda n: n + 1) == Success(21)
    assert failure.map(lambda n: n + 1) is failure


def test_bind_goes_on_with_a_result_and_leaves_a_failure_alone() -> None:
    failure = Failure("no")
    assert Success(20).bind(lambda n: Success(n + 1)) == Success(21)
    assert Success(20).bind(lambda n: failure) is failure
    assert failure.bind(lambda n: Success(n)) is failure


def test_tap_shows_the_value_and_answers_the_same_result() -> None:
    seen: list[int] = []
    success = Success(20)
    assert success.tap(seen.append) is success
    Failure("no").tap(seen.append)
    assert seen == [20]


def test_ensure_turns_a_value_that_does_not_fit_into_a_failure() -> None:
    too_small = Error.validation("too small")
    assert Success(20).ensure(lambda n: n > 10, too_small) == Success(20)
    assert Success(2).ensure(lambda n: n > 10, too_small) == Failure(too_small)
    assert Failure("no").ensure(lambda n: False, too_small) == Failure("no")


def test_match_calls_the_one_that_applies() -> None:
    def told(result: Result[int]) -> str:
        return result.match(success=lambda n: f"got {n}", failure=lambda e: f"{len(e)} errors")

    assert (told(Success(3)), told(Failure("a"))) == ("got 3", "1 errors")


def test_a_match_statement_takes_both_apart() -> None:
    def told(result: Result[int]) -> object:
        match result:
            case Success(value):
                return value
            case Failure(errors):
                return errors
        return None

    assert told(Success(3)) == 3
    assert told(Failure("a")) == (Error("a"),)


def test_results_with_equal_content_are_equal_and_hash_alike() -> None:
    assert Success(1) == Success(1) != Success(2)
    assert Failure("a") == Failure("a") != Failure("b")
    assert Success("a") != Failure("a")
    assert len({Success(1), Success(1), Failure("a"), Failure("a")}) == 2


def test_a_result_shows_what_it_holds() -> None:
    assert repr(Success([1])) == "Success([1])"
    assert repr(Failure(Error.conflict("late", code="c"))) == (
        "Failure(Error('late', kind='conflict', code='c'))"
    )


# What a handler may answer


class Number(Query[int]): ...


class Nothing(Command[None]): ...


class Perhaps(Query["int | None"]): ...


class Anything(Command[object]): ...


class Untyped(Command): ...  # type: ignore[type-arg]


class Base(Command[int]): ...


class Derived(Base): ...


def test_a_value_becomes_a_success() -> None:
    assert as_result(3, Number, "h") == Success(3)


def test_an_error_becomes_a_failure() -> None:
    assert as_result(Error("no"), Number, "h") == Failure("no")


def test_a_result_stays_what_it_is() -> None:
    success, failure = Success(3), Failure("no")
    assert as_result(success, Number, "h") is success
    assert as_result(failure, Number, "h") is failure


@pytest.mark.parametrize("answer", [None, Success(None)])
@pytest.mark.parametrize("message", [Number, Derived])
def test_none_is_refused_where_a_value_is_promised(answer: object, message: type) -> None:
    with pytest.raises(HandlerResultError, match=r"h answered None to .*, which promises int"):
        as_result(answer, message, "h")


@pytest.mark.parametrize("message", [Nothing, Perhaps, Anything, Untyped])
def test_none_is_an_answer_where_it_is_promised(message: type) -> None:
    assert as_result(None, message, "h") == Success(None)


@pytest.mark.parametrize("nested", [Failure("no"), Error("no"), Success(1)])
def test_a_success_that_holds_a_result_is_refused(nested: object) -> None:
    with pytest.raises(HandlerResultError, match="a failure is returned as it is"):
        as_result(Success(nested), Anything, "h")
