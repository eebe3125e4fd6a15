"""Prompts over HTTP: what becomes of one before it is drawn."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from flask import Blueprint, Response
from pydantic import ConfigDict, Field

from sdcpp_rest.core.load_spec import LoadSpec
from sdcpp_rest.core.tokenizing.encoders import TokenCount
from sdcpp_rest.routes.http.answers import answer, runtime
from sdcpp_rest.routes.http.openapi import Answer, documents
from sdcpp_rest.routes.http.pools import blocking
from sdcpp_rest.routes.http.request_bodies import read_body
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.http.wire_models import AtMost, Integer, Text, Wire, optional, validate
from sdcpp_rest.routes.native.wire.generation_bodies import MAX_STYLES
from sdcpp_rest.services.settings.user_settings import Mode
from sdcpp_rest.services.submission.prompt_expansion import Resolved

prompt_words = Blueprint("prompt_words", __name__)

MAX_COUNT = 50
_SHOWN_VARIABLES = 100
_SHOWN_CHARACTERS = 1_000
_MODEL = "The model that is meant, as `GET /models` names it. Not given: the selected one."

PromptText = Annotated[Text, AtMost("prompt_characters")]


class ExpandBody(Wire):
    model_config = ConfigDict(json_schema_extra={"examples": [{"prompt": "a {red|blue} <random:cat,dog>", "seed": 7}]})

    prompt: PromptText = Field(description="With tags, as docs/prompt-language.md has them.")
    negative_prompt: PromptText = Field("", description="The same; its tags are resolved second.")
    seed: Integer = Field(-1, ge=-1, description="What all words depend on; -1: one is drawn, and told.")
    count: Integer = Field(1, ge=1, le=MAX_COUNT, description="How many prompts: of the seed, the next one, and so on.")
    styles: list[Text] = Field([], max_length=MAX_STYLES, description="Prompt styles, added before tags are resolved.")
    mode: Mode = Field("txt2img", description="Which request is meant: what `<param>` may set depends on it.")
    model: Text = optional(_MODEL, min_length=1, max_length=1_000)


class LoraUsed(Answer):
    name: str
    weight: float


class Unknown(Answer):
    """Something that a tag asks for and that is not there."""

    kind: str = Field(examples=["wildcard", "LoRA", "variable"])
    name: str
    error: str


class ExpandedPrompt(Answer):
    """What a request with this seed and `expand_prompt` draws."""

    seed: int
    prompt: str = Field(description="LoRAs are tags at its end.")
    negative_prompt: str
    loras: list[LoraUsed]
    wildcards: list[str] = Field(description="Names of those that something was drawn from, each once.")
    presets: list[str] = Field(description="Names of styles that tags have asked for, each once.")
    variables: dict[str, str] = Field(description="What tags have kept; long ones are cut.")
    settings: dict[str, Any] = Field(description="Fields of the request that tags have set.")
    unknown: list[Unknown]
    warnings: list[str]


class PromptsExpanded(Answer):
    prompts: list[ExpandedPrompt]
    warnings: list[str] = optional("What was ignored.")


class TokensBody(Wire):
    model_config = ConfigDict(json_schema_extra={"examples": [{"prompt": "a red circle on a (blue:1.2) background"}]})

    prompt: PromptText = Field(description="As it is drawn: its tags are not resolved, those of LoRAs do not count.")
    negative_prompt: PromptText = optional("The same.")
    model: Text = optional(_MODEL, min_length=1, max_length=1_000)


class TokensOfEncoder(Answer):
    """What one text encoder of the model makes of a prompt."""

    encoder: Literal["clip_l", "clip_g", "t5xxl", "umt5", "llm", "t5"]
    count: int = Field(ge=0, description="Tokens of the prompt's words; marks of begin and end do not count.")
    chunk: int | None = Field(description="How many are read at once; `null`: all that there are.")
    chunks: int | None = Field(description="How often that is done for this prompt.")
    limit: int | None = Field(description="How many count; `null`: all.")
    truncated_at_character: int | None = Field(description="The first character that does not count; `null`: none.")
    exact: bool = Field(
        description="Whether the library counts the same. Not for signs that language models' tokenizer leaves to "
        "chance (emoji, punctuation beyond Latin-1), and for words of SDXL's embeddings."
    )


class TokensCounted(Answer):
    model: str
    prompt: list[TokensOfEncoder]
    negative_prompt: list[TokensOfEncoder] = optional("Where one was sent.")
    warnings: list[str] = optional("What was ignored.")


@prompt_words.post("/prompt/expand")
@needs("read")
@documents({200: PromptsExpanded}, errors=(404,), body=ExpandBody)
@blocking
def expand_prompt() -> Response:
    """Resolve the tags of prompts as a request with ``expand_prompt`` would, and draw nothing. The same seed has the
    same words in both."""
    body, warnings = validate(ExpandBody, read_body())
    expansion, spec = runtime().submission.expansion, _spec(body.model)
    asked = {"prompt": body.prompt, "negative_prompt": body.negative_prompt, "seed": body.seed}
    found = []
    for _ in range(body.count):
        found.append(expansion.resolve(body.mode, asked, styles=body.styles, spec=spec))
        asked["seed"] = found[-1].seed + 1
    shown = {"prompts": [_show_resolved(one) for one in found]}
    return answer({**shown, "warnings": warnings} if warnings else shown)


@prompt_words.post("/prompt/tokens")
@needs("read")
@documents({200: TokensCounted}, errors=(404, 501), body=TokensBody)
@blocking
def count_prompt_tokens() -> Response:
    """Count the tokens of a prompt for each text encoder of a model, by the library's own vocabularies. A 501 where
    they are not at hand, or the model's encoders are not known."""
    body, warnings = validate(TokensBody, read_body())
    counts = runtime().submission.token_counts
    spec = counts.model(_spec(body.model))
    shown: dict[str, Any] = {"model": spec.model.name}
    for field, text in body.sent_fields().items():
        if field in ("prompt", "negative_prompt"):
            shown[field] = [_show_count(one) for one in counts.count(field, text, spec)]
    return answer({**shown, "warnings": warnings} if warnings else shown)


def _show_count(one: TokenCount) -> dict[str, Any]:
    return {
        "encoder": one.encoder.name,
        "count": one.count,
        "chunk": one.encoder.chunk,
        "chunks": one.chunks,
        "limit": one.encoder.limit,
        "truncated_at_character": one.truncated_at,
        "exact": one.is_exact,
    }


def _spec(model: str | None) -> LoadSpec | None:
    return runtime().submission.model_choice.spec_named(model) if model else None


def _show_resolved(resolved: Resolved) -> dict[str, Any]:
    asked, expanded = resolved.asked, resolved.expanded
    variables = list(expanded.variables.items())[:_SHOWN_VARIABLES]
    return {
        "seed": resolved.seed,
        "prompt": asked["prompt"],
        "negative_prompt": asked["negative_prompt"],
        "loras": [{"name": lora.name, "weight": lora.weight} for lora in expanded.loras],
        "wildcards": list(dict.fromkeys(expanded.used_wildcards)),
        "presets": list(dict.fromkeys(expanded.presets)),
        "variables": {name[:_SHOWN_CHARACTERS]: text[:_SHOWN_CHARACTERS] for name, text in variables},
        "settings": dict(resolved.settings),
        "unknown": [{"kind": one.kind, "name": one.name, "error": one.sentence} for one in expanded.missing],
        "warnings": resolved.warnings,
    }
