"""What users choose while the server runs, over HTTP: defaults of requests, user interface preferences, rules."""

from __future__ import annotations

from typing import Any, Literal

from flask import Blueprint, Response
from pydantic import ConfigDict, Field

from sdcpp_rest.errors import NotFound, NotSupported
from sdcpp_rest.routes.http.answers import answer, runtime, shorten
from sdcpp_rest.routes.http.openapi import Answer, documents
from sdcpp_rest.routes.http.request_bodies import read_body
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.http.wire_models import Flag, Integer, Text, Wire, optional, validate
from sdcpp_rest.routes.native.wire.generation_defaults import (
    DEFAULTS_MODELS,
    all_defaults_model,
    check_names,
    is_form,
)
from sdcpp_rest.services.settings.user_settings import MAX_IDLE_MINUTES, MAX_RETENTION_MINUTES, MODES, Mode, Section

settings = Blueprint("settings", __name__)

AllDefaultsBody = all_defaults_model()
_WARNINGS = "What was ignored."


class ModePath(Wire):
    mode: str = Field(description="txt2img, img2img or txt2vid.", examples=["txt2img"])


class AnyDefaultsBody(Wire):
    """Fields of the request of that kind, pictures and prompt excepted; they replace all that were chosen before. With
    names in camelCase (`cfgScale`): what a user interface's form holds, kept as it is, and no request's default."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"examples": [{"steps": 12, "cfg_scale": 2.5}]})


class DefaultsShown(Answer):
    """What was chosen for one kind of request; fields that nobody chose are not there."""

    model_config = ConfigDict(extra="allow")


class AllDefaultsShown(Answer):
    """What was chosen, by kind of request."""

    txt2img: DefaultsShown
    img2img: DefaultsShown
    txt2vid: DefaultsShown


class AllDefaultsChanged(Answer):
    success: Literal[True]
    settings: AllDefaultsShown
    warnings: list[str] = optional(_WARNINGS)


class DefaultsChanged(Answer):
    success: Literal[True]
    mode: Mode
    preferences: DefaultsShown
    warnings: list[str] = optional(_WARNINGS)


class PreferencesBody(Wire):
    """Any JSON object. It is merged into what is there, deeply; `null` removes a name."""

    model_config = ConfigDict(
        extra="allow", json_schema_extra={"examples": [{"theme": "dark", "gallery": {"columns": 4}}]}
    )


class Preferences(Answer):
    """Whatever user interfaces have stored here."""

    model_config = ConfigDict(extra="allow")


class PreferencesChanged(Answer):
    success: Literal[True]
    settings: Preferences


class OutputBody(Wire):
    model_config = ConfigDict(json_schema_extra={"examples": [{"group_by": "none"}]})

    group_by: Text = optional("How the folders of finished jobs are grouped: none is the only way so far.")
    output_group_folders: Flag = optional("Another way to say so: false is none.")


class OutputShown(Answer):
    """How the folders of finished jobs are grouped."""

    group_by: Literal["none"]
    output_group_folders: bool = Field(description="The same as a yes or no.")
    warnings: list[str] = optional(_WARNINGS)


class IdleRestBody(Wire):
    enabled: Flag = optional("Free it when it is idle.")
    timeout_minutes: Integer = optional("After so many idle minutes.", ge=1, le=MAX_IDLE_MINUTES)


class AutoUnloadBody(Wire):
    """What to change; what is left out stays as it is."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"main": {"enabled": True, "timeout_minutes": 30}}]})

    main: IdleRestBody = optional("The model.")
    upscaler: IdleRestBody = optional("The upscaler.")
    adetailer: IdleRestBody = optional("A detector of faces. There is none here: the rule is kept and frees nothing.")


class IdleRestShown(Answer):
    enabled: bool
    timeout_minutes: float = Field(gt=0)


class AutoUnloadShown(Answer):
    """When the model and the upscaler are freed because nobody uses them; the next job loads them again."""

    main: IdleRestShown
    upscaler: IdleRestShown
    adetailer: IdleRestShown = Field(description="Of a detector of faces. There is none here: it frees nothing.")
    warnings: list[str] = optional(_WARNINGS)


class BinRulesBody(Wire):
    """What to change; what is left out stays as it is."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"enabled": True, "retention_minutes": 10080}]})

    enabled: Flag = optional("Keep deleted jobs in the recycle bin; off: they are gone for good.")
    retention_minutes: Integer = optional("How long they stay there.", ge=1, le=MAX_RETENTION_MINUTES)


class BinRulesShown(Answer):
    """What becomes of deleted jobs."""

    enabled: bool
    retention_minutes: int = Field(ge=1)
    warnings: list[str] = optional(_WARNINGS)


class ResetBody(Wire):
    """May be left out."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"section": "generation"}]})

    section: Section = optional("Which section to reset. Left out: all of them.")


class ResetDone(Answer):
    success: Literal[True]
    message: str
    reset: list[Section]


@settings.get("/settings/generation")
@needs("read")
@documents({200: AllDefaultsShown})
def show_generation_defaults() -> Response:
    """Show which defaults users have chosen for the fields of generation requests."""
    return answer(runtime().settings.user.generation())


@settings.put("/settings/generation")
@needs("admin")
@documents({200: AllDefaultsChanged}, body=AllDefaultsBody)
def change_generation_defaults() -> Response:
    """Choose the defaults of several kinds of request. Those of a kind that is named are replaced, the others stay; of
    an object with names in camelCase see `PUT /settings/generation/{mode}`."""
    sent = read_body()
    forms: dict[Mode, dict[str, Any]] = {mode: sent.pop(mode) for mode in MODES if is_form(sent.get(mode))}
    body, warnings = validate(AllDefaultsBody, sent)
    chosen: dict[Mode, dict[str, Any]] = {
        mode: values for mode in MODES if (values := body.sent_fields().get(mode)) is not None
    }
    for mode, values in chosen.items():
        check_names(values, runtime().status.options(), f"{mode}.")
    changed = runtime().settings.user.choose_generation(chosen, forms)
    return answer({"success": True, "settings": changed, **_answer_saved(warnings)})


@settings.get("/settings/generation/<mode>")
@needs("read")
@documents({200: DefaultsShown}, errors=(404,), path=ModePath)
def show_defaults_of_mode(mode: str) -> Response:
    """Show which defaults users have chosen for one kind of request."""
    return answer(runtime().settings.user.generation()[_mode(mode)])


@settings.put("/settings/generation/<mode>")
@needs("admin")
@documents({200: DefaultsChanged}, errors=(404,), path=ModePath, body=AnyDefaultsBody)
def change_defaults_of_mode(mode: str) -> Response:
    """Choose the defaults of one kind of request, instead of all that were chosen before. An object with names in
    camelCase is a user interface's form: it comes back as it was put, and the defaults stay as they are."""
    named, sent = _mode(mode), read_body()
    if is_form(sent):
        changed = runtime().settings.user.choose_generation({}, {named: sent})
        return answer({"success": True, "mode": named, "preferences": changed[named]})
    body, warnings = validate(DEFAULTS_MODELS[named], sent)
    check_names(body.sent_fields(), runtime().status.options())
    changed = runtime().settings.user.choose_generation({named: body.sent_fields()})
    return answer({"success": True, "mode": named, "preferences": changed[named], **_answer_saved(warnings)})


@settings.get("/settings/preferences")
@needs("read")
@documents({200: Preferences})
def show_preferences() -> Response:
    """Show what user interfaces have stored here."""
    return answer(runtime().settings.user.preferences())


@settings.put("/settings/preferences")
@needs("generate")
@documents({200: PreferencesChanged}, body=PreferencesBody)
def change_preferences() -> Response:
    """Store what a user interface wants to remember. At most 64 KiB in all."""
    return answer({"success": True, "settings": runtime().settings.user.merge_preferences(read_body())})


@settings.get("/settings/output")
@needs("read")
@documents({200: OutputShown})
def show_output_settings() -> Response:
    """Show how the folders of finished jobs are grouped."""
    return answer(_output())


@settings.put("/settings/output")
@needs("admin")
@documents({200: OutputShown}, errors=(501,), body=OutputBody)
def change_output_settings() -> Response:
    """Choose how the folders of finished jobs are grouped. They are not, so far: anything but none is a 501."""
    body, warnings = validate(OutputBody, read_body())
    sent = body.sent_fields()
    for field, none in (("group_by", "none"), ("output_group_folders", False)):
        if sent.get(field, none) != none:
            value = sent[field] if isinstance(sent[field], bool) else shorten(sent[field])
            raise NotSupported(
                f"{field} {value!r} is not available in this version: every job has a folder of its own",
                field=field,
                value=value,
                allowed=str(none).lower(),
            )
    return answer({**_output(), **_answer_saved(warnings)})


@settings.get("/settings/auto-unload")
@needs("read")
@documents({200: AutoUnloadShown})
def show_auto_unload() -> Response:
    """Show when the model and the upscaler are freed because nobody uses them. What users did not choose is the
    configuration's."""
    return answer(runtime().settings.user.auto_unload().model_dump())


@settings.put("/settings/auto-unload")
@needs("admin")
@documents({200: AutoUnloadShown}, body=AutoUnloadBody)
def change_auto_unload() -> Response:
    """Choose when the model and the upscaler are freed because nobody uses them."""
    body, warnings = validate(AutoUnloadBody, read_body())
    changed = runtime().settings.user.change_auto_unload(body.sent_fields())
    if changed.adetailer.enabled:
        warnings.append("adetailer: there is no detector here (POST /adetailer is a 501), so that nothing is freed.")
    return answer({**changed.model_dump(), **_answer_saved(warnings)})


@settings.get("/settings/recycle-bin")
@needs("read")
@documents({200: BinRulesShown})
def show_recycle_bin_settings() -> Response:
    """Show what becomes of deleted jobs."""
    return answer(runtime().settings.user.recycle_bin().model_dump())


@settings.put("/settings/recycle-bin")
@needs("admin")
@documents({200: BinRulesShown}, body=BinRulesBody)
def change_recycle_bin_settings() -> Response:
    """Choose what becomes of deleted jobs. Those in the bin follow the new rules too; switching it off does not empty
    it."""
    body, warnings = validate(BinRulesBody, read_body())
    return answer(
        {**runtime().settings.user.change_recycle_bin(body.sent_fields()).model_dump(), **_answer_saved(warnings)}
    )


@settings.post("/settings/reset")
@needs("admin")
@documents({200: ResetDone}, body=ResetBody)
def reset_settings() -> Response:
    """Forget what users chose, in one section or in all."""
    body, _ = validate(ResetBody, read_body())
    reset = runtime().settings.user.reset(body.sent_fields().get("section"))
    return answer({"success": True, "message": f"Settings reset: {', '.join(reset)}", "reset": list(reset)})


def _mode(name: str) -> Mode:
    for mode in MODES:
        if mode == name:
            return mode
    raise NotFound(
        f'mode must be one of {", ".join(MODES)}, got "{shorten(name)}"',
        field="mode",
        value=shorten(name),
        allowed=list(MODES),
    )


def _output() -> dict[str, Any]:
    return {**runtime().settings.user.output().model_dump(), "output_group_folders": False}


def _answer_saved(warnings: list[str]) -> dict[str, Any]:
    return {"warnings": warnings} if warnings else {}
