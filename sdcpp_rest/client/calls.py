"""Turns a function that returns steps into a method: one that answers on `Client`, one to be awaited on `AsyncClient`.

Every route is written once this way, and typed for both.
"""

from __future__ import annotations

import functools
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from sdcpp_rest.client.errors import ConnectionFailed
from sdcpp_rest.client.steps import Doing, Request, Steps, Telling

if TYPE_CHECKING:
    from typing_extensions import Self

    from sdcpp_rest.client.jobs import AsyncSubmittedJob, SubmittedJob

P = ParamSpec("P")
T = TypeVar("T")


class Blocking:
    """Answers its calls itself: base of `Client` and of what it hands out."""


class Awaiting:
    """Has its calls awaited: base of `AsyncClient` and of what it hands out."""


class _Marked:
    """Holds a function of steps as an attribute: bound, it does them in the way of what it is bound to."""

    def __init__(self, describe: Callable[..., Steps[Any]]) -> None:
        self.describe = describe
        self.__doc__ = describe.__doc__

    def bind(self, one: Any, run: Callable[[Steps[Any]], Any]) -> Any:
        @functools.wraps(self.describe)
        def call(*arguments: Any, **named: Any) -> Any:
            return run(self.describe(one, *arguments, **named))

        return functools.update_wrapper(call, self.describe)


class Call(_Marked, Generic[P, T]):
    """Makes a method that returns what its steps return."""

    def __init__(self, describe: Callable[Concatenate[Any, P], Steps[T]]) -> None:
        super().__init__(describe)

    @overload
    def __get__(self, one: None, owner: Any) -> Self: ...
    @overload
    def __get__(self, one: Blocking, owner: Any) -> Callable[P, T]: ...
    @overload
    def __get__(self, one: Awaiting, owner: Any) -> Callable[P, Awaitable[T]]: ...
    def __get__(self, one: Any, owner: Any) -> Any:
        return self if one is None else self.bind(one, one.run)


class TellingCall(_Marked, Generic[P, T]):
    """Makes a method that iterates over what its steps tell."""

    def __init__(self, describe: Callable[Concatenate[Any, P], Telling[T]]) -> None:
        super().__init__(describe)

    @overload
    def __get__(self, one: None, owner: Any) -> Self: ...
    @overload
    def __get__(self, one: Blocking, owner: Any) -> Callable[P, Generator[T, None, None]]: ...
    @overload
    def __get__(self, one: Awaiting, owner: Any) -> Callable[P, AsyncGenerator[T, None]]: ...
    def __get__(self, one: Any, owner: Any) -> Any:
        return self if one is None else self.bind(one, one.iterate)


def send_safely(request: Steps[T]) -> Doing[T]:
    """Send a request under a name of its own; once more where the connection breaks, which makes no second job."""
    named = replace(request, key=str(uuid.uuid4())) if isinstance(request, Request) else request
    try:
        return (yield from named)
    except ConnectionFailed:
        return (yield from named)


class SubmitCall(_Marked, Generic[P]):
    """Makes a method that submits a job, and returns what waits for it. A connection that breaks is tried once more."""

    def __init__(self, describe: Callable[Concatenate[Any, P], Steps[Any]]) -> None:
        super().__init__(describe)

    @overload
    def __get__(self, one: None, owner: Any) -> Self: ...
    @overload
    def __get__(self, one: Blocking, owner: Any) -> Callable[P, SubmittedJob]: ...
    @overload
    def __get__(self, one: Awaiting, owner: Any) -> Callable[P, Awaitable[AsyncSubmittedJob]]: ...
    def __get__(self, one: Any, owner: Any) -> Any:
        return self if one is None else self.bind(one, lambda steps: one.submit(send_safely(steps)))
