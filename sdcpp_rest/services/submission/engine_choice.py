"""Finds the engine that a request asks for by name. It must not know the request."""

from __future__ import annotations

from sdcpp_rest.config.engines_section import check_engine
from sdcpp_rest.core.bounds import out_of_range
from sdcpp_rest.services.dispatch.engine_pool import EnginePool
from sdcpp_rest.services.dispatch.lane import Lane

_LONGEST = 40


class EngineChoice:
    """Finds engines by the names that people write: ``cuda`` is ``cuda:0``."""

    def __init__(self, pool: EnginePool) -> None:
        self._pool = pool

    def check(self, name: str, field: str = "device") -> str | None:
        """The engine's name in its one form; ``None`` for an empty one: any engine will do.

        Raises InvalidRequest for a name that no engine has. Before an engine has said its name, every well-formed one
        is taken.
        """
        if not name.strip():
            return None
        known = self._pool.names()
        # What is on another machine is called by that machine's name.
        asked = name.strip() if name.strip() in known else _in_one_form(name)
        if asked is None or (known and asked not in known):
            allowed = f"one of {', '.join(known)}" if known else "the name of a device, such as cuda:1"
            raise out_of_range(field, name[:_LONGEST], f"{allowed}, or empty")
        return asked

    def find(self, name: str, field: str) -> Lane | None:
        """The lane of the engine of this name; ``None`` for an empty one. Raises InvalidRequest."""
        asked = self.check(name, field)
        lane = None if asked is None else self._pool.find(asked)
        if asked is not None and lane is None:
            raise out_of_range(field, name[:_LONGEST], "empty: no engine has said its name yet")
        return lane


def _in_one_form(name: str) -> str | None:
    """``None`` where it is no name."""
    try:
        return check_engine(name)
    except ValueError:
        return None
