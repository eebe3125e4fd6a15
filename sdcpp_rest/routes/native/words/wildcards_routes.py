"""Wildcards over HTTP: lists of words that prompts draw from, text files below the folder ``wildcards``."""

from __future__ import annotations

from typing import Any, Literal

from flask import Blueprint, Response
from pydantic import ConfigDict, Field

from sdcpp_rest.errors import InvalidRequest, NotFound
from sdcpp_rest.routes.http.answers import answer, runtime
from sdcpp_rest.routes.http.openapi import Answer, documents
from sdcpp_rest.routes.http.pools import transfer
from sdcpp_rest.routes.http.request_bodies import read_body
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.http.wire_models import Flag, Text, Wire, optional, read_query, validate
from sdcpp_rest.services.models.wildcards import MAX_BYTES, Wildcard, Wildcards, check_name, write_entries

wildcards = Blueprint("wildcards", __name__)

_WARNINGS = "What was ignored."


class WildcardPath(Wire):
    wildcard_name: str = Field(description="Its path below the folder, without `.txt`.", examples=["animals/wild"])


class WildcardsQuery(Wire):
    counts: Flag = Field(True, description="Also tell how many entries each has, for which every file is read once.")


class WildcardListed(Answer):
    name: str
    entries: int | None = Field(description="How many there are; `null` where nobody asked, or the file is too large.")


class WildcardsShown(Answer):
    """All wildcards, by name; the first 20,000 where there are more."""

    total: int = Field(ge=0)
    wildcards: list[WildcardListed]


class WildcardShown(Answer):
    name: str
    text: str = Field(description="The file as it is, comments included.")
    entries: list[str] = Field(description="What `<wildcard:name>` draws from.")
    has_preview: bool


class WildcardBody(Wire):
    """What the file is to hold: one of the two."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"entries": ["a cat", "a dog"]}]})

    text: Text = optional("The whole text: an entry a line; `#` begins a comment.", max_length=MAX_BYTES)
    entries: list[Text] = optional("The entries alone.", max_length=500_000)


class WildcardKept(WildcardShown):
    created: bool = Field(description="Whether there was none of this name before.")
    warnings: list[str] = optional(_WARNINGS)


class WildcardRemoved(Answer):
    success: Literal[True]
    name: str


@wildcards.get("/wildcards")
@needs("read")
@documents({200: WildcardsShown}, query=WildcardsQuery)
@transfer
def list_wildcards() -> Response:
    """List the wildcards with how many entries each has."""
    is_counted, there = read_query(WildcardsQuery).counts, runtime().models.wildcards
    shown = [{"name": name, "entries": _count(there, name) if is_counted else None} for name in there.names()]
    return answer({"total": len(shown), "wildcards": shown})


@wildcards.get("/wildcards/<path:wildcard_name>")
@needs("read")
@documents({200: WildcardShown}, errors=(400, 404), path=WildcardPath)
@transfer
def show_wildcard(wildcard_name: str) -> Response:
    """Show one wildcard: its text, and the entries that it stands for."""
    return answer(_show_wildcard(runtime().models.wildcards.read(wildcard_name)))


@wildcards.put("/wildcards/<path:wildcard_name>")
@needs("generate")
@documents({200: WildcardKept, 201: WildcardKept}, errors=(404,), body=WildcardBody, path=WildcardPath)
@transfer
def keep_wildcard(wildcard_name: str) -> Response:
    """Write a wildcard, whole or not at all. Folders on its way are made."""
    body, warnings = validate(WildcardBody, read_body())
    there, name = runtime().models.wildcards, check_name(wildcard_name)
    was_there = _is_there(there, name)
    there.write(name, _text_of(body))
    shown = {**_show_wildcard(there.read(name)), "created": not was_there}
    return answer({**shown, "warnings": warnings} if warnings else shown, 200 if was_there else 201)


@wildcards.delete("/wildcards/<path:wildcard_name>")
@needs("generate")
@documents({200: WildcardRemoved}, errors=(400, 404), path=WildcardPath)
def remove_wildcard(wildcard_name: str) -> Response:
    """Delete a wildcard, and its preview."""
    runtime().models.wildcards.delete(wildcard_name)
    return answer({"success": True, "name": wildcard_name})


def _show_wildcard(found: Wildcard) -> dict[str, Any]:
    return {
        "name": found.name,
        "text": found.text,
        "entries": list(found.options),
        "has_preview": found.preview is not None,
    }


def _text_of(body: WildcardBody) -> str:
    given = body.sent_fields()
    if len(given) != 1:
        raise InvalidRequest("text or entries is needed, and only one of them", field="text")
    return str(given["text"]) if "text" in given else write_entries(given["entries"])


def _count(there: Wildcards, name: str) -> int | None:
    try:
        return len(there.read(name).options)
    except (NotFound, InvalidRequest):
        return None


def _is_there(there: Wildcards, name: str) -> bool:
    try:
        there.read(name)
    except NotFound:
        return False
    except InvalidRequest:  # it is too large to be read, and is replaced
        return True
    return True
