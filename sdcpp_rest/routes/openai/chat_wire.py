"""The wire models of chat completions that answer with pictures."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from sdcpp_rest.routes.http.openapi import Answer
from sdcpp_rest.routes.http.wire_models import Flag, Text, Wire, optional


class ChatWishes(Wire):
    """A conversation; the user's last message says what to draw. Other fields are those of generations and edits."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "messages": [{"role": "user", "content": "a red circle on a blue background"}],
                    "modalities": ["image", "text"],
                    "size": "64x64",
                    "seed": 42,
                }
            ]
        }
    )

    messages: list[Any] = Field(
        description="The last one of the role `user` counts: its text is the prompt, its `image_url` parts (data URLs) "
        "are the pictures to edit.",
    )
    modalities: list[Text] = optional("Must hold `image`: this server writes no text.")
    image_config: dict[str, Any] = Field({}, description="`aspect_ratio`, such as `16:9`; the rest is ignored.")
    stream: Flag = Field(False, description="Answer with server-sent events, picture by picture.")


class ChatImageUrl(Answer):
    url: str = Field(description="A data URL.")


class ChatImage(Answer):
    type: Literal["image_url"]
    image_url: ChatImageUrl


class ChatMessage(Answer):
    role: Literal["assistant"]
    content: str
    images: list[ChatImage]


class ChatChoice(Answer):
    index: int
    message: ChatMessage
    finish_reason: Literal["stop"]


class ChatUsage(Answer):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatCompletion(Answer):
    """The pictures, each a choice."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: ChatUsage
    warnings: list[str] = optional("Beyond OpenAI's API. What was ignored.")
