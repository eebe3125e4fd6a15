"""The table of tools: few, small, and each with its answer."""

from __future__ import annotations

import json

from sdcpp_rest.routes.mcp.tools import INSTRUCTIONS, MOST_SCHEMA_BYTES, TOOLS, count_schema_bytes
from sdcpp_rest.routes.mcp.views import AgentTools
from sdcpp_rest.routes.mcp.wire import EditImage, write_schema


def test_tools_cost_a_language_model_little() -> None:
    assert len(TOOLS) <= 10
    assert 3000 < count_schema_bytes() <= MOST_SCHEMA_BYTES == 6000
    assert len(INSTRUCTIONS) < 300


def test_every_tool_has_its_answer_a_title_and_all_hints() -> None:
    for tool in TOOLS:
        assert callable(getattr(AgentTools, tool.name))
        shown = tool.describe()
        assert shown["title"]
        assert set(shown["annotations"]) == {"readOnlyHint", "destructiveHint", "openWorldHint"}
        assert not (tool.is_read_only and tool.is_destructive)


def test_a_schema_says_types_words_and_choices_and_nothing_else() -> None:
    schema = write_schema(EditImage)
    assert schema["required"] == ["prompt"]
    assert schema["properties"]["inline"]["enum"] == ["auto", "none", "full"]
    assert schema["properties"]["reference_images"]["items"] == {"type": "string"}
    assert schema["properties"]["seed"] == {"type": "integer", "description": "-1: random"}
    assert next(iter(schema["properties"])) == "prompt"
    assert list(schema["properties"])[-2:] == ["wait_seconds", "inline"]
    assert "title" not in json.dumps(schema)
    assert "x-limit" not in json.dumps(schema)
