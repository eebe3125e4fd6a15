"""Pictures by chat completions, as multimodal models answer them: from a conversation to what is to be drawn, and from
jobs to a message with images.

Submits nothing, and knows no HTTP.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

from sdcpp_rest.config import LimitsConfig
from sdcpp_rest.core.job import Job
from sdcpp_rest.errors import InvalidRequest, NotSupported, SdcppRestError
from sdcpp_rest.routes.http.answers import json_text, show_value
from sdcpp_rest.routes.http.wire_models import examine
from sdcpp_rest.routes.openai.answering import b64, encode_pictures, usage
from sdcpp_rest.routes.openai.chat_wire import ChatWishes
from sdcpp_rest.routes.openai.errors import openai_error
from sdcpp_rest.routes.openai.neighbours import rename_fields
from sdcpp_rest.routes.openai.stream import PictureStream
from sdcpp_rest.routes.openai.translate import Asked
from sdcpp_rest.routes.openai.wire import EditWishes, GenerationWishes
from sdcpp_rest.services.pictures.edit_pictures import fit_size
from sdcpp_rest.services.pictures.outputs import Outputs

_MOST_MESSAGES = 10_000
_RATIO = re.compile(r"\s*(\d{1,3})\s*:\s*(\d{1,3})\s*", re.ASCII)
_OWN_FIELDS = frozenset({"messages", "modalities", "image_config"})
# Of language models: nothing of them changes a picture, and every client sends some.
_NOBODYS = frozenset(
    {
        "temperature", "top_p", "max_tokens", "max_completion_tokens", "presence_penalty", "frequency_penalty", "stop",
        "stream_options", "logprobs", "top_logprobs", "response_format", "reasoning", "reasoning_effort", "metadata",
        "store", "service_tier", "partial_images", "usage", "plugins", "provider", "transforms", "safety_settings",
    }
)  # fmt: skip


def read_wishes(
    body: Mapping[str, Any], limits: LimitsConfig, usual_size: Callable[[], tuple[int, int]]
) -> tuple[GenerationWishes | EditWishes, list[str]]:
    """What the last message of the user's asks for, and warnings about what is ignored. ``usual_size``: the model's.

    Raises NotSupported where no picture is asked for, InvalidRequest.
    """
    chat, _ = examine(ChatWishes, {name: body[name] for name in body.keys() & _OWN_FIELDS}, limits=limits)
    if "image" not in (chat.modalities or ()):
        raise NotSupported(
            'This server draws pictures and writes no text: ask for modalities ["image"], or see POST /assistant/chat',
            field="modalities",
        )
    prompt, images = _last_wish(chat.messages)
    fields, warnings = rename_fields(
        {name: value for name, value in body.items() if name not in _OWN_FIELDS | _NOBODYS and value is not None}
    )
    size = _size_of_ratio(chat.image_config, usual_size, limits.side, warnings)
    if size is not None:
        if "size" in fields:
            warnings.append("size was ignored: image_config.aspect_ratio is there, too.")
        fields["size"] = size
    fields["prompt"] = prompt
    if not prompt.strip():
        raise InvalidRequest("messages: the user's last message has no text to draw from", field="messages")
    if images:
        edit, unknown = examine(EditWishes, {**fields, "image": images}, limits=limits)
        return edit, [*warnings, *unknown]
    made, unknown = examine(GenerationWishes, fields, limits=limits)
    return made, [*warnings, *unknown]


def completion(asked: Asked, jobs: Sequence[Job], outputs: Outputs) -> dict[str, Any]:
    """The whole answer: a choice for each picture."""
    counted = usage(jobs, asked.given)
    warnings = list(dict.fromkeys([*asked.notes, *(warning for job in jobs for warning in job.warnings)]))
    return {
        "id": f"chatcmpl-{jobs[0].id}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": jobs[0].model_name,
        "choices": [
            {
                "index": index,
                "message": {"role": "assistant", "content": "", "images": [_image(asked, b64(file))]},
                "finish_reason": "stop",
            }
            for index, file in enumerate(encode_pictures(outputs, asked, jobs))
        ],
        "usage": {
            "prompt_tokens": counted["input_tokens"],
            "completion_tokens": counted["output_tokens"],
            "total_tokens": counted["total_tokens"],
        },
        **({"warnings": warnings} if warnings else {}),
    }


class ChatStream(PictureStream):
    """The chunks of one completion: each picture whole, as soon as it is done. Raises as `PictureStream`."""

    def __iter__(self) -> Generator[str, None, None]:
        for index in range(len(self.jobs)):
            yield self._chunk(index, {"role": "assistant", "content": ""})
        yield from super().__iter__()
        yield "data: [DONE]\n\n"

    def _picture_text(self, job: Job, index: int, b64_json: str) -> str:
        pictures = {"images": [_image(self._asked, b64_json)]}
        return self._chunk(index, pictures) + self._chunk(index, {}, "stop")

    def _error_text(self, error: SdcppRestError) -> str:
        return f"data: {json_text(openai_error(error))}\n\n"

    def _chunk(self, index: int, delta: dict[str, Any], finish_reason: str | None = None) -> str:
        first = self.jobs[0]
        value = {
            "id": f"chatcmpl-{first.id}",
            "object": "chat.completion.chunk",
            "created": int(first.created_at.timestamp()),
            "model": first.model_name,
            "choices": [{"index": index, "delta": delta, "finish_reason": finish_reason}],
        }
        return f"data: {json_text(value)}\n\n"


def _last_wish(messages: Sequence[Any]) -> tuple[str, list[str]]:
    """Text and pictures of the user's last message. Raises InvalidRequest."""
    if len(messages) > _MOST_MESSAGES:
        raise InvalidRequest(f"messages: {len(messages)} are too many; at most {_MOST_MESSAGES}", field="messages")
    for index in range(len(messages) - 1, -1, -1):
        message = messages[index]
        if not isinstance(message, dict):
            raise InvalidRequest(f"messages[{index}] must be an object, got {show_value(message)}", field="messages")
        if message.get("role") == "user":
            return _parts(message.get("content"), f"messages[{index}].content")
    raise InvalidRequest("messages must hold a message with the role 'user'", field="messages")


def _parts(content: Any, place: str) -> tuple[str, list[str]]:
    if isinstance(content, str):
        return content, []
    if not isinstance(content, list):
        raise InvalidRequest(f"{place} must be text or an array of parts, got {show_value(content)}", field="messages")
    texts, images = [], []
    for number, part in enumerate(content):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind in ("text", "input_text") and isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif kind in ("image_url", "input_image"):
            images.append(_image_of(part.get("image_url"), f"{place}[{number}].image_url"))
        else:
            raise InvalidRequest(
                f"{place}[{number}] must be a part of type 'text' or 'image_url', got {show_value(kind)}",
                field="messages",
            )
    return "\n".join(texts), images


def _image_of(value: Any, place: str) -> str:
    url = value.get("url") if isinstance(value, dict) else value
    if not isinstance(url, str) or not url:
        raise InvalidRequest(f"{place} must hold a data URL, got {show_value(url)}", field="messages")
    return url


def _size_of_ratio(
    config: Mapping[str, Any], usual_size: Callable[[], tuple[int, int]], side: int, warnings: list[str]
) -> str | None:
    """``image_config.aspect_ratio`` as a size of about the area that the model likes."""
    warnings += [f"image_config.{name[:40]} was ignored." for name in config if name != "aspect_ratio"]
    ratio = config.get("aspect_ratio")
    if ratio is None:
        return None
    match = _RATIO.fullmatch(ratio) if isinstance(ratio, str) else None
    if match is None or not int(match[1]) or not int(match[2]):
        text = f"image_config.aspect_ratio must be two numbers such as '16:9', got {show_value(ratio)}"
        raise InvalidRequest(text, field="image_config")
    width, height = fit_size((int(match[1]), int(match[2])), usual_size(), side)
    return f"{width}x{height}"


def _image(asked: Asked, b64_json: str) -> dict[str, Any]:
    url = f"data:image/{asked.output_format};base64,{b64_json}"
    return {"type": "image_url", "image_url": {"url": url}}
