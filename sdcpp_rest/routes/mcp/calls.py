"""What a tool is called with: its arguments, who calls and how they see this server, and the way to tell progress.

Knows the ASGI scope of the call; knows no SDK.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import ipaddress
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from typing_extensions import ParamSpec

from sdcpp_rest.config.auth_section import ANYBODY, ApiKey
from sdcpp_rest.errors import EngineUnavailable
from sdcpp_rest.routes.http.answers import KNOWN

P = ParamSpec("P")
T = TypeVar("T")

Report = Callable[[float, float | None, str], Awaitable[None]]
"""Tells a client how far its call is: progress, total where it is known, and words."""

_LOCAL_NAMES = frozenset({"localhost"})
_PROXY_HEADERS = frozenset({b"forwarded", b"x-forwarded-for", b"x-real-ip", b"via"})


@dataclass(frozen=True)
class AgentCaller:
    """Who calls. ``root_url``: this server as they see it, without a slash at the end; ``is_local``: on this very
    machine, so that it can open the server's files. ``key``: the one that they have shown; ``address``: theirs."""

    root_url: str
    is_local: bool = False
    key: ApiKey = ANYBODY
    address: str = ""

    @classmethod
    def of(cls, scope: Mapping[str, Any]) -> AgentCaller:
        """The caller of an ASGI scope that tells how the caller sees the server."""
        headers = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1")
        root_url = f"{scope.get('scheme', 'http')}://{host}{scope.get('root_path', '')}"
        client = scope.get("client")
        # A proxy on this machine calls from here, too.
        is_local = client is not None and _is_loopback(client[0]) and not headers.keys() & _PROXY_HEADERS
        return cls(root_url, is_local and _is_local_name(host), scope.get(KNOWN, ANYBODY), client[0] if client else "")


@dataclass(frozen=True)
class AgentCall:
    """One call of a tool. ``report`` is ``None`` where nobody asked for progress."""

    arguments: Mapping[str, Any]
    caller: AgentCaller
    report: Report | None = None


class AgentThreads:
    """Runs what blocks for a moment beside the event loop: a few threads, whoever calls, and as many for calls that may
    wait for other machines. For one event loop."""

    def __init__(self, count: int = 4) -> None:
        self._pool = ThreadPoolExecutor(count, "mcp")
        self._far = ThreadPoolExecutor(count, "mcp-far")

    async def run(self, call: Callable[P, T], *args: P.args, **more: P.kwargs) -> T:
        """What ``call`` returns. A cancel does not wait for it. Raises EngineUnavailable once this is closed."""
        return await self._run_in(self._pool, lambda: call(*args, **more))

    async def run_far(self, call: Callable[P, T], *args: P.args, **more: P.kwargs) -> T:
        """The same for a call that may fetch something from far away, which must not keep the others waiting."""
        return await self._run_in(self._far, lambda: call(*args, **more))

    async def _run_in(self, pool: ThreadPoolExecutor, call: Callable[[], T]) -> T:
        try:
            future = pool.submit(contextvars.copy_context().run, call)
        except RuntimeError:
            raise EngineUnavailable("The server is stopping") from None
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        for pool in (self._pool, self._far):
            pool.shutdown(wait=False, cancel_futures=True)


def _is_loopback(address: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(address).is_loopback
    return False


def _is_local_name(host: str) -> bool:
    name = host.rpartition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]
    return name.lower() in _LOCAL_NAMES or _is_loopback(name)
