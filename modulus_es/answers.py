"""What a handler answers, as a `Result`; what its message does not promise is refused."""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from modulus_es.errors import HandlerResultError
from modulus_es.messages import result_type
from modulus_es.naming import stable_name
from modulus_es.result import Error, Failure, Result, Success

_ANSWERS = (Result, Error)


def as_result(answer: Any, request: type, handler: str) -> Result[Any]:
    """What a handler answered, as a `Result`; raises `HandlerResultError`.

    >>> from modulus_es.messages import Query
    >>> class CountOrders(Query[int]): ...
    >>> as_result(3, CountOrders, "count_orders")
    Success(3)
    """
    if answer is not None and not isinstance(answer, _ANSWERS):
        return Success(answer)  # as nearly all are
    if isinstance(answer, Failure):
        return answer
    if isinstance(answer, Error):
        return Failure(answer)
    result = answer if isinstance(answer, Success) else Success(answer)
    value = result.value
    if value is None and not _may_be_none(request):
        promised = result_type(request)
        raise HandlerResultError(
            f"{handler} answered None to {stable_name(request)}, which promises "
            f"{getattr(promised, '__name__', promised)}: return the value, or a Failure with an "
            f"Error that says why there is none"
        )
    if isinstance(value, _ANSWERS):
        raise HandlerResultError(
            f"{handler} answered {answer!r} to {stable_name(request)}: a success holds the value "
            "itself, and a failure is returned as it is"
        )
    return result


def _may_be_none(request: Any) -> bool:
    known: bool | None = request.__dict__.get("__may_be_none__")
    if known is None:
        answer = result_type(request)
        in_union = get_origin(answer) in (Union, UnionType) and NoneType in get_args(answer)
        known = request.__may_be_none__ = answer in (None, NoneType, Any, object) or in_union
    return known
