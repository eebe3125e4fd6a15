"""Says whether two requests are the same one, sent twice: by the same caller, to the same URL, with the same body.

Pure. Knows how clients write bodies, and nothing of what is in them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from sdcpp_rest.web.caller import CALLER, Caller

KEYED = "sdcpp_rest.keyed"
"""Key in a scope: the name under which the request came, if it has one. It says who asks, from wherever they do."""

_BOUNDARY = re.compile(r'boundary="?([^";,\s]+)', re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class SentRequest:
    """A request as far as it matters for being the same as another. ``place``: who calls what, and how the caller sees
    this server; equal for requests that may be the same."""

    place: Hashable
    url: tuple[str, ...]
    content_type: str
    body: bytes

    @classmethod
    def of(cls, scope: Mapping[str, Any], body: bytes) -> SentRequest:
        """From an ASGI scope of type http that has its `Caller`, and the body as views get it."""
        caller: Caller = scope[CALLER]
        headers: dict[bytes, list[bytes]] = {b"authorization": [], b"content-type": []}
        for name, value in scope["headers"]:
            if name in headers:
                headers[name].append(value)
        seen = (caller.scheme, caller.host, caller.prefix, caller.path, scope["query_string"])
        place: Hashable = (caller.address, tuple(headers[b"authorization"]), scope["method"], seen)
        if KEYED in scope:
            place = (scope[KEYED], scope["method"], caller.path)
        url = (scope["method"], scope["path"], scope["query_string"].decode("latin-1"))
        return cls(place, url, b",".join(headers[b"content-type"]).decode("latin-1"), body)

    def is_same(self, other: SentRequest) -> bool:
        """Whether a client that repeats itself would have sent both."""
        if self.place != other.place:
            return False
        return self.body == other.body or self._canonical_body() == other._canonical_body()

    def digest(self) -> str:
        """What is asked, in a few characters: method, URL and body, whoever asks."""
        asked = repr((*self.url, self._canonical_body()))
        return hashlib.sha256(asked.encode("utf-8", "surrogatepass")).hexdigest()

    def _canonical_body(self) -> object:
        boundary = _BOUNDARY.search(self.content_type)
        if boundary is not None:
            # Another one for each try, in random letters that stand nowhere else.
            return self.body.replace(boundary[1].encode("latin-1"), b"")
        try:
            # As text, in which 1, 1.0 and true are not equal.
            return json.dumps(json.loads(self.body), sort_keys=True)
        except (ValueError, RecursionError):
            return self.body
