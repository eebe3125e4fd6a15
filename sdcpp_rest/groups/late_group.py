"""Builds a group of services when somebody first asks for it, so that its modules are not imported before.

Knows no group.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar, overload

Group = TypeVar("Group")
Owner = TypeVar("Owner")


class LateGroup(Generic[Owner, Group]):
    """Stands for an attribute whose value is built by ``build`` when it is first read: once, however many ask at the
    same time."""

    def __init__(self, build: Callable[[Owner], Group]) -> None:
        self._build = build
        self._lock = threading.RLock()
        self._name = build.__name__
        self.__doc__ = build.__doc__

    def __set_name__(self, kind: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, owner: None, kind: type) -> LateGroup[Owner, Group]: ...

    @overload
    def __get__(self, owner: Owner, kind: type) -> Group: ...

    def __get__(self, owner: Owner | None, kind: type) -> LateGroup[Owner, Group] | Group:
        if owner is None:
            return self
        # What is built lies among the owner's own attributes, which are found before this one.
        with self._lock:
            if self._name not in vars(owner):
                vars(owner)[self._name] = self._build(owner)
            group: Group = vars(owner)[self._name]
        return group

    def find(self, owner: Owner) -> Group | None:
        """What was built; ``None`` if nobody has asked for it. Waits for whoever is building it."""
        with self._lock:
            return vars(owner).get(self._name)
