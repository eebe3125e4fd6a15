"""One test for many cases: for tables of one-line cases, whose set-up and report would cost more than the cases do.

Every case is tried, and all that fail are told. Each has a `tmp_path` and a `monkeypatch` of its own, and shares all
other fixtures: what changes those belongs to `pytest.mark.parametrize`, where each case gets its own.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pytest
from _pytest.mark.structures import ParameterSet

Test = Callable[..., None]


def for_each_case(
    names: str | Sequence[str], cases: Iterable[Any], ids: Callable[[Any], object] | Sequence[str] | None = None
) -> Callable[[Test], Test]:
    """Try a test with every case, in one test. The arguments are those of `pytest.mark.parametrize`; can be stacked.

    Raises ValueError when there is no case.
    """
    arguments = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    listed = list(cases)
    tried = [_values(case, len(arguments)) for case in listed]
    if not tried:
        raise ValueError(f"no case for {', '.join(arguments)}")
    titles = [
        _title(case, number, values, ids) for number, (case, values) in enumerate(zip(listed, tried, strict=True))
    ]

    def decorate(test: Test) -> Test:
        @functools.wraps(test)
        def run(**given: Any) -> None:
            failures = list(_failures(test, given))
            if failures:
                pytest.fail(f"{len(failures)} of {len(tried)} cases failed\n\n" + "\n".join(failures), pytrace=False)

        def _failures(test: Test, given: dict[str, Any]) -> Iterator[str]:
            for number, (title, values) in enumerate(zip(titles, tried, strict=True)):
                try:
                    with _own_fixtures(given, number) as fixtures:
                        test(**fixtures, **dict(zip(arguments, values, strict=True)))
                except pytest.skip.Exception:
                    raise
                except (Exception, pytest.fail.Exception) as error:
                    text = error.msg if isinstance(error, pytest.fail.Exception) else traceback.format_exc()
                    yield f"--- {title}\n{text}"

        signature = inspect.signature(test)
        unknown = set(arguments) - set(signature.parameters)
        assert not unknown, f"{test.__name__} does not take {', '.join(unknown)}"
        fixtures = [one for name, one in signature.parameters.items() if name not in arguments]
        run.__signature__ = signature.replace(parameters=fixtures)  # type: ignore[attr-defined]
        return run

    return decorate


@contextlib.contextmanager
def _own_fixtures(given: dict[str, Any], number: int) -> Iterator[dict[str, Any]]:
    """The fixtures of one case: an empty folder below the test's, and patches that end with the case."""
    with contextlib.ExitStack() as opened:
        own = dict(given)
        if "tmp_path" in given:
            own["tmp_path"] = given["tmp_path"] / str(number)
            own["tmp_path"].mkdir()
        if "monkeypatch" in given:
            own["monkeypatch"] = opened.enter_context(pytest.MonkeyPatch.context())
        yield own


def _values(case: Any, count: int) -> tuple[Any, ...]:
    if isinstance(case, ParameterSet):
        assert not case.marks, "a case has no marks of its own: it is no test"
        return tuple(case.values)
    if count == 1:
        return (case,)
    values = tuple(case)
    assert len(values) == count, f"{count} values are wanted, not {case!r}"
    return values


def _title(case: Any, number: int, values: tuple[Any, ...], ids: Callable[[Any], object] | Sequence[str] | None) -> str:
    if isinstance(case, ParameterSet) and isinstance(case.id, str):
        return case.id
    if ids is None:
        return ", ".join(map(repr, values))
    if callable(ids):
        return ", ".join(str(ids(value)) for value in values)
    return ids[number]
