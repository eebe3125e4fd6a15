"""How declarations of views become a document, on a small application of its own."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Annotated, Any, Literal

import pytest
from flask import Blueprint, Flask
from pydantic import Field

from sdcpp_rest.routes.http.openapi import HTML, Answer, document, documents
from sdcpp_rest.routes.http.pools import blocking
from sdcpp_rest.routes.http.wire_models import AtMost, Integer, Text, Wire, optional

small = Blueprint("small", __name__)


class SmallBody(Wire):
    prompt: Annotated[Text, AtMost("prompt_characters")] = Field(description="What to draw.")
    title: Text = ""


class SmallQuery(Wire):
    status: list[Literal["a", "b"]] = []
    limit: Integer = optional("How many.", ge=1)


class SmallPath(Wire):
    name: str = Field(description="Which.")


class Small(Answer):
    title: str
    note: str = optional("Maybe.")


@small.get("/small/<path:name>")
@documents({200: (Small, HTML), 204: ()}, errors=(404,), path=SmallPath, query=SmallQuery)
def look(name: str) -> str:
    """Look at it. Twice, with ``care``."""
    return name


@small.post("/small")
@documents({202: Small}, body=SmallBody)
@blocking
def make() -> str:
    """Make it."""
    return ""


@pytest.fixture
def app() -> Flask:
    app = Flask("small", static_folder=None)
    app.register_blueprint(small)
    return app


@pytest.fixture
def made(app: Flask) -> dict[str, Any]:
    return document(app, "1.2.3", SimpleNamespace(prompt_characters=10))


def test_paths_and_words_are_read_off_the_routes(made: dict[str, Any]) -> None:
    assert made["info"]["version"] == "1.2.3"
    assert list(made["paths"]) == ["/small", "/small/{name}"]
    shown = made["paths"]["/small/{name}"]["get"]
    assert (shown["summary"], shown["description"]) == ("Look at it", "Twice, with `care`.")
    assert (shown["tags"], shown["operationId"]) == (["small"], "look")
    assert made["tags"] == [
        {
            "name": "small",
            "description": "How declarations of views become a document, on a small application of its own",
        }
    ]


def test_parameters_come_from_the_models(made: dict[str, Any]) -> None:
    name, status, limit = made["paths"]["/small/{name}"]["get"]["parameters"]
    assert name == {
        "name": "name", "in": "path", "required": True, "description": "Which.", "schema": {"type": "string"}
    }  # fmt: skip
    assert (status["in"], status["explode"], status["schema"]["items"]["enum"]) == ("query", False, ["a", "b"])
    assert (limit["required"], limit["schema"]) == (False, {"type": "integer", "minimum": 1})


def test_answers_are_told_by_status_and_type(made: dict[str, Any]) -> None:
    responses = made["paths"]["/small/{name}"]["get"]["responses"]
    assert list(responses) == ["200", "204", "400", "401", "403", "404", "429", "500"]
    assert responses["200"]["content"] == {
        "application/json": {"schema": {"$ref": "#/components/schemas/Small"}},
        "text/html": {"schema": {}},
    }
    assert "content" not in responses["204"]
    assert responses["404"] == {"$ref": "#/components/responses/NotFound"}


def test_bodies_and_waiting_bring_their_own_errors(made: dict[str, Any]) -> None:
    shown = made["paths"]["/small"]["post"]
    assert list(shown["responses"]) == ["202", "400", "401", "403", "413", "415", "429", "500", "503"]
    assert shown["requestBody"]["required"] is True


def test_limits_become_bounds_and_a_field_called_title_stays(made: dict[str, Any], app: Flask) -> None:
    schema = made["components"]["schemas"]["SmallBody"]
    assert schema["properties"]["prompt"]["maxLength"] == 10
    assert "title" in schema["properties"]
    assert "title" not in schema
    unbounded = document(app, "1")["components"]["schemas"]["SmallBody"]["properties"]["prompt"]
    assert "maxLength" not in unbounded
    assert "x-limit" not in unbounded


def test_a_field_that_may_be_absent_is_not_null(made: dict[str, Any]) -> None:
    schema = made["components"]["schemas"]["Small"]
    assert schema["required"] == ["title"]
    assert schema["properties"]["note"] == {"type": "string", "description": "Maybe."}
    assert schema["additionalProperties"] is False


def test_a_view_that_says_nothing_is_a_mistake(app: Flask) -> None:
    app.add_url_rule("/silent", view_func=lambda: "")
    with pytest.raises(LookupError, match="/silent"):
        document(app, "1")
