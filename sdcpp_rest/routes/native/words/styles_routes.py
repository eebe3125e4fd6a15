"""Prompt styles over HTTP: named texts that are written around a prompt or behind it."""

from __future__ import annotations

from typing import Literal

from flask import Blueprint, Response
from pydantic import ConfigDict, Field

from sdcpp_rest.core.prompt_style import PromptStyle
from sdcpp_rest.routes.http.answers import answer, runtime
from sdcpp_rest.routes.http.openapi import Answer, documents
from sdcpp_rest.routes.http.request_bodies import read_body
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.http.wire_models import Flag, Text, Wire, optional, validate
from sdcpp_rest.services.settings.style_file import MAX_BYTES
from sdcpp_rest.services.settings.style_import import MAX_TEXT_CHARACTERS, read_styles

styles = Blueprint("styles", __name__)

CSV = "text/csv"


class StylePath(Wire):
    style_name: str = Field(description="The style's name.", examples=["Oil painting"])


class StyleBody(Wire):
    model_config = ConfigDict(json_schema_extra={"examples": [{"prompt": "oil painting of {prompt}, thick paint"}]})

    prompt: Text = Field(
        "",
        max_length=MAX_TEXT_CHARACTERS,
        description="Written around a prompt where it says `{prompt}`, else behind it.",
    )
    negative_prompt: Text = Field("", max_length=MAX_TEXT_CHARACTERS, description="The same of the negative prompt.")


class StyleShown(Answer):
    name: str
    prompt: str
    negative_prompt: str


class StylesShown(Answer):
    """Every prompt style, in the order of the file."""

    total: int = Field(ge=0)
    styles: list[StyleShown]


class StyleKept(StyleShown):
    created: bool = Field(description="Whether there was none of this name before.")
    warnings: list[str] = optional("What was ignored.")


class StyleRemoved(Answer):
    success: Literal[True]
    name: str


class StyleImportBody(Wire):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"text": "name,prompt,negative_prompt\nInk,ink drawing of {prompt},photo\n"}]}
    )

    text: Text = Field(
        min_length=1,
        max_length=MAX_BYTES,
        description="The content of a file: A1111's `styles.csv`, or JSON as Fooocus (a list of styles) or SwarmUI "
        "(its exported presets) write it.",
    )
    overwrite: Flag = Field(False, description="Replace styles that are there under the same names.")


class StyleSkipped(Answer):
    name: str
    reason: str


class StylesImported(Answer):
    """What became of the styles of a file."""

    imported: list[str] = Field(description="Names of styles that are kept now, those that were replaced included.")
    replaced: list[str] = Field(description="Those of them that had another text before.")
    skipped: list[StyleSkipped]
    warnings: list[str] = optional("What was ignored.")


@styles.get("/styles")
@needs("read")
@documents({200: StylesShown})
def list_styles() -> Response:
    """List the prompt styles. They are the same that AUTOMATIC1111's dialect lists: both read one file."""
    found = [style.model_dump() for style in runtime().settings.prompt_styles.all()]
    return answer({"total": len(found), "styles": found})


@styles.get("/styles/export")
@needs("read")
@documents({200: CSV})
def export_styles() -> Response:
    """Get all prompt styles as a CSV file, as AUTOMATIC1111 and its kin read it."""
    return Response(
        runtime().settings.prompt_styles.export(),
        content_type=f"{CSV}; charset=utf-8",
        headers={"Content-Disposition": "attachment; filename=styles.csv"},
    )


@styles.post("/styles/import")
@needs("generate")
@documents({200: StylesImported}, errors=(409,), body=StyleImportBody)
def import_styles() -> Response:
    """Take over the prompt styles of another program's file. Names that are there already are skipped, unless
    ``overwrite``; whatever cannot be taken over is told with the reason."""
    body, warnings = validate(StyleImportBody, read_body())
    read = read_styles(body.text)
    taken = runtime().settings.prompt_styles.take_over(read.styles, overwrite=body.overwrite)
    kept = [{"name": name, "reason": "there is a style of this name already"} for name in taken.kept]
    shown = {
        "imported": [*taken.added, *taken.replaced],
        "replaced": [*taken.replaced],
        "skipped": [*kept, *(one._asdict() for one in read.skipped)],
    }
    return answer({**shown, "warnings": warnings} if warnings else shown)


@styles.get("/styles/<path:style_name>")
@needs("read")
@documents({200: StyleShown}, errors=(404,), path=StylePath)
def show_style(style_name: str) -> Response:
    """Show one prompt style."""
    return answer(runtime().settings.prompt_styles.get(style_name).model_dump())


@styles.put("/styles/<path:style_name>")
@needs("generate")
@documents({200: StyleKept, 201: StyleKept}, errors=(404, 409), body=StyleBody, path=StylePath)
def keep_style(style_name: str) -> Response:
    """Keep a prompt style under a name, in the place of what had it before. A 409 where the file of the styles cannot
    be read: it is left as it is."""
    body, warnings = validate(StyleBody, read_body())
    style = PromptStyle(name=style_name, prompt=body.prompt, negative_prompt=body.negative_prompt)
    created = runtime().settings.prompt_styles.put(style)
    shown = {**style.model_dump(), "created": created}
    return answer({**shown, "warnings": warnings} if warnings else shown, 201 if created else 200)


@styles.delete("/styles/<path:style_name>")
@needs("generate")
@documents({200: StyleRemoved}, errors=(404, 409), path=StylePath)
def remove_style(style_name: str) -> Response:
    """Forget a prompt style."""
    runtime().settings.prompt_styles.delete(style_name)
    return answer({"success": True, "name": style_name})
