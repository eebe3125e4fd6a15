"""What the assistant may propose, made from the wire models of the routes that carry it out.

A model that calls a tool is checked by the very model that checks a request, and against what is there now (files,
jobs, samplers). Each action is one request of this API, or something that only a user interface can do.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import quote, urlencode

from pydantic import Field, create_model
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from sdcpp_rest.config import LimitsConfig
from sdcpp_rest.core.chat import ActionRequest
from sdcpp_rest.core.download_source import recognise_source
from sdcpp_rest.core.job import ACTIVE
from sdcpp_rest.core.params import KEEP
from sdcpp_rest.core.prompts import check_prompt
from sdcpp_rest.errors import Conflict, InvalidRequest, ModelNotFound
from sdcpp_rest.routes.http.wire_models import LIMIT_KEYWORD, PictureText, Text, Wire, examine
from sdcpp_rest.routes.native.wire.conversion_bodies import ConvertBody
from sdcpp_rest.routes.native.wire.download_bodies import DownloadBody
from sdcpp_rest.routes.native.wire.generation_bodies import Img2ImgBody, Txt2ImgBody
from sdcpp_rest.routes.native.wire.generation_defaults import check_names
from sdcpp_rest.routes.native.wire.load_bodies import LoadBody, ModelsQuery, UnloadBody, to_request
from sdcpp_rest.routes.native.wire.upscaling_bodies import UpscaleBody, UpscalerBody
from sdcpp_rest.routes.native.wire.video_bodies import Txt2VidBody
from sdcpp_rest.services.jobs.job_queue import JobQueue
from sdcpp_rest.services.language.assistant_actions import ActionKind, Checked
from sdcpp_rest.services.models.load_specs import build_spec, resolve_loras
from sdcpp_rest.services.models.model_library import ModelLibrary

View = Literal[
    "dashboard", "txt2img", "img2img", "txt2vid", "upscale", "models", "downloads", "convert", "queue", "gallery",
    "settings",
]  # fmt: skip

_PICTURE = (
    "prompt", "negative_prompt", "width", "height", "steps", "cfg_scale", "distilled_guidance", "seed", "sampler",
    "scheduler", "batch_count",
)  # fmt: skip
_COMPONENTS = ("vae", "clip_l", "clip_g", "t5xxl", "llm", "controlnet")


class NothingBody(Wire):
    """No parameters."""


class SwitchViewBody(Wire):
    view: View = Field(description="Which view of the user interface to show.")


class CancelBody(Wire):
    job_id: Text = Field(min_length=1, max_length=200, description="The job_id of a pending or processing job.")


def action_kinds(
    limits: LimitsConfig, engine: Mapping[str, Any], library: ModelLibrary, queue: JobQueue
) -> list[ActionKind]:
    """Every kind of action, checked against the files and jobs that are there when the model answers.

    ``engine`` are the engine's own lists (``samplers``, ``schedulers``, ``quantization_types``).
    """
    tools = _Tools(limits, engine, library, queue)
    return [
        tools.of(
            "load_model", "Load a model, so that pictures are made with it.", LoadBody,
            ("model_name", "model_type", *_COMPONENTS), tools.load, _post("/models/load"),
            lambda given: f"I load the model {given['model_name']}.",
        ),
        tools.of(
            "unload_model", "Free the loaded model.", UnloadBody, (), tools.plain(UnloadBody),
            _post("/models/unload"), lambda given: "I unload the model.",
        ),
        tools.of(
            "set_parameters", "Fill in the form for pictures without making one yet; only what is to change.",
            _form(Txt2ImgBody, optional=True), _PICTURE, tools.form, None,
            lambda given: f"I set {', '.join(given)}.",
        ),
        tools.of(
            "generate", "Make a picture from a prompt now.", Txt2ImgBody, _PICTURE,
            tools.check_sampling(Txt2ImgBody), _post("/txt2img"), lambda given: f"I make a picture: {given['prompt']}",
        ),
        tools.of(
            "img2img", "Make a picture from the picture that the user has chosen in the user interface.",
            _form(Img2ImgBody), (*_PICTURE, "strength"), tools.check_sampling(_form(Img2ImgBody)), None,
            lambda given: f"I change your picture: {given['prompt']}",
        ),
        tools.of(
            "txt2vid", "Make a video from a prompt; needs a video model.", Txt2VidBody,
            ("prompt", "negative_prompt", "width", "height", "steps", "cfg_scale", "seed", "video_frames", "fps"),
            tools.check_sampling(Txt2VidBody), _post("/txt2vid"), lambda given: f"I make a video: {given['prompt']}",
        ),
        tools.of(
            "load_upscaler", "Load an ESRGAN upscaler.", UpscalerBody, ("model_name",), tools.upscaler,
            _post("/upscaler/load"), lambda given: f"I load the upscaler {given['model_name']}.",
        ),
        tools.of(
            "unload_upscaler", "Free the upscaler.", NothingBody, (), tools.plain(NothingBody),
            _post("/upscaler/unload"), lambda given: "I unload the upscaler.",
        ),
        tools.of(
            "upscale", "Make the picture of a finished job larger; needs a loaded upscaler.", UpscaleBody,
            ("job_id", "image_index", "upscale_factor"), tools.upscale, _post("/upscale"),
            lambda given: "I make the picture larger.",
        ),
        tools.of(
            "convert", "Write a model file anew with another weight type.", ConvertBody,
            ("input_path", "output_type"), tools.convert, _post("/convert"),
            lambda given: f"I convert {given['input_path']} to {given['output_type']}.",
        ),
        tools.of(
            "download", "Download a model file from Hugging Face, CivitAI or an address that the user has given.",
            DownloadBody, ("model_type", "url", "model_id", "repo_id", "filename"), tools.download,
            _post("/models/download"), lambda given: "I download the model.",
        ),
        tools.of(
            "search_models", "List the model files of this server that fit.", ModelsQuery, ("search", "type"),
            tools.search, lambda given: ActionRequest(method="GET", url=f"/models?{urlencode(given)}"),
            lambda given: "I look for models.",
        ),
        tools.of(
            "cancel_job", "Cancel a job that waits or runs.", CancelBody, ("job_id",), tools.cancel,
            lambda given: ActionRequest(method="DELETE", url=f"/queue/{quote(given['job_id'], safe='')}"),
            lambda given: "I cancel the job.",
        ),
        tools.of(
            "switch_view", "Show another view of the user interface.", SwitchViewBody, ("view",),
            tools.plain(SwitchViewBody), None, lambda given: f"I show you the view {given['view']}.",
        ),
    ]  # fmt: skip


class _Tools:
    """The checks. What is there is looked up when the model has answered, not before."""

    def __init__(self, limits: LimitsConfig, engine: Mapping[str, Any], library: ModelLibrary, queue: JobQueue) -> None:
        self._limits = limits
        self._engine = engine
        self._library = library
        self._queue = queue

    def of(
        self,
        name: str,
        description: str,
        body: type[Wire],
        fields: Sequence[str],
        check: Callable[[Mapping[str, Any]], Checked],
        request: Callable[[Mapping[str, Any]], ActionRequest] | None,
        said: Callable[[Mapping[str, Any]], str],
    ) -> ActionKind:
        schema = _schema(body, tuple(fields), self._limits)
        for kind in ("sampler", "scheduler"):
            if kind in schema["properties"]:
                schema["properties"][kind]["enum"] = self._engine[f"{kind}s"]
        return ActionKind(name, description, schema, check, request, said)

    def plain(self, body: type[Wire]) -> Callable[[Mapping[str, Any]], Checked]:
        """The wire model's own rules and nothing else."""

        def check(given: Mapping[str, Any]) -> Checked:
            read, notes = examine(body, given, limits=self._limits)
            return read.sent_fields(), notes

        return check

    def check_sampling(self, body: type[Wire]) -> Callable[[Mapping[str, Any]], Checked]:
        """Pictures and videos: samplers that there are, a prompt that can be read, LoRAs that there are."""
        plain = self.plain(body)

        def check(given: Mapping[str, Any]) -> Checked:
            parameters, notes = plain(given)
            check_names(parameters, self._engine)
            for name in ("prompt", "negative_prompt"):
                if name in parameters:
                    check_prompt(name, parameters[name], self._limits.prompt_characters)
            if "prompt" in parameters:
                if not parameters["prompt"].strip():
                    raise InvalidRequest("prompt must not be blank", field="prompt")
                resolve_loras(self._library, parameters["prompt"])
            return parameters, notes

        return check

    def form(self, given: Mapping[str, Any]) -> Checked:
        parameters, notes = self.check_sampling(_form(Txt2ImgBody, optional=True))(given)
        if not parameters:
            raise InvalidRequest("; ".join(["no parameter is set", *notes]))
        return parameters, notes

    def load(self, given: Mapping[str, Any]) -> Checked:
        """The same look at the files as a load takes; names come back as they are on the disk."""
        body, notes = examine(LoadBody, given, limits=self._limits)
        try:
            spec, told = build_spec(self._library, to_request(body))
        except ModelNotFound as error:
            raise _with_nearest(error) from None
        found = {role: spec.components[role].name for role in body.sent_fields().keys() & spec.components.keys()}
        return {**body.sent_fields(), **found, "model_name": spec.model.name, "model_type": spec.kind}, [*notes, *told]

    def upscaler(self, given: Mapping[str, Any]) -> Checked:
        parameters, notes = self.plain(UpscalerBody)(given)
        return {**parameters, "model_name": self._file(("esrgan",), parameters["model_name"])}, notes

    def upscale(self, given: Mapping[str, Any]) -> Checked:
        parameters, notes = self.plain(UpscaleBody)({**given, "image_base64": None})
        job_id = parameters.get("job_id", "")
        if not job_id:
            raise InvalidRequest("job_id is required", field="job_id")
        count, index = len(self._queue.get(job_id).outputs), parameters.get("image_index", 0)
        if index >= count:
            raise InvalidRequest(f"image_index is {index}, and the job has {count} pictures", field="image_index")
        return parameters, notes

    def convert(self, given: Mapping[str, Any]) -> Checked:
        parameters, notes = self.plain(ConvertBody)({**given, "overwrite": None})
        types = [*(entry["id"] for entry in self._engine["quantization_types"]), KEEP]
        wanted = parameters["output_type"]
        if len(types) > 1 and wanted not in types:
            raise InvalidRequest(f'output_type must be one of {", ".join(types)}, got "{wanted}"', field="output_type")
        kinds = ("checkpoint", "diffusion", "vae", "lora", "clip", "t5", "controlnet", "llm", "taesd")
        return {**parameters, "input_path": self._file(kinds, parameters["input_path"])}, notes

    def download(self, given: Mapping[str, Any]) -> Checked:
        """What can be known without asking the source. Never over a file that is there."""
        parameters, notes = self.plain(DownloadBody)({**given, "overwrite": None})
        parameters = {name: value for name, value in parameters.items() if value != ""}
        self._library.list(type=parameters["model_type"])  # refuses a type that there is not
        named = [name for name in ("url", "model_id", "repo_id") if name in parameters]
        if len(named) != 1:
            raise InvalidRequest(f"one of url, model_id and repo_id must be given, got {', '.join(named) or 'none'}")
        recognise_source(parameters)  # refuses an address that no source can have
        return parameters, notes

    def search(self, given: Mapping[str, Any]) -> Checked:
        parameters, notes = self.plain(ModelsQuery)(given)
        if parameters.get("type"):
            self._library.list(type=parameters["type"])  # refuses a type that there is not
        return {name: value for name, value in parameters.items() if value}, notes

    def cancel(self, given: Mapping[str, Any]) -> Checked:
        parameters, notes = self.plain(CancelBody)(given)
        job = self._queue.get(parameters["job_id"])
        if job.status not in ACTIVE:
            raise Conflict(f"the job {job.id} is {job.status}")
        return parameters, notes

    def _file(self, types: Iterable[str], name: str) -> str:
        missing: ModelNotFound | None = None
        for kind in types:
            try:
                return self._library.find(kind, name).name
            except ModelNotFound as error:
                missing = missing or error
        assert missing is not None
        raise _with_nearest(missing)


def _post(url: str) -> Callable[[Mapping[str, Any]], ActionRequest]:
    return lambda given: ActionRequest(method="POST", url=url, body=dict(given))


def _with_nearest(error: ModelNotFound) -> ModelNotFound:
    """A note is text only: what is near is told in it."""
    near = error.detail.get("nearest") or ()
    return ModelNotFound(f"{error.message} (there is {', '.join(near[:3])})", **error.detail) if near else error


@lru_cache(maxsize=8)
def _form(body: type[Wire], *, optional: bool = False) -> type[Wire]:
    """``body`` without its pictures, which no language model can write, and its place in a grid; ``optional``: with
    every field left out at will."""
    fields: dict[str, Any] = {}
    for name, field in body.model_fields.items():
        if name == "group" or name.endswith("_base64") or field.annotation == list[PictureText]:
            continue
        made: FieldInfo = copy.copy(field)
        if optional:
            made.default, made.default_factory = PydanticUndefined, _nothing
        fields[name] = (field.annotation, made)
    name = body.__name__.removesuffix("Body") + ("FormBody" if optional else "WithoutPicturesBody")
    form: type[Wire] = create_model(name, __base__=Wire, __doc__=body.__doc__, **fields)
    return form


def _nothing() -> None:
    return None


def _schema(body: type[Wire], fields: tuple[str, ...], limits: object) -> dict[str, Any]:
    """What a language model needs of a wire model's schema: some fields, their types, bounds and descriptions."""
    whole = _whole_schema(body)
    properties: dict[str, Any] = {}
    for name in fields:
        shown = {key: value for key, value in whole["properties"][name].items() if key not in _NOT_FOR_MODELS}
        bound = getattr(limits, str(whole["properties"][name].get(LIMIT_KEYWORD)), None)
        if bound is not None:
            shown["maxLength" if shown.get("type") == "string" else "maximum"] = bound
        properties[name] = shown
    required = [name for name in whole.get("required", ()) if name in fields]
    return {"type": "object", "properties": properties, "required": required}


_NOT_FOR_MODELS = frozenset({"title", "default", "examples", LIMIT_KEYWORD})


@lru_cache(maxsize=32)
def _whole_schema(body: type[Wire]) -> dict[str, Any]:
    return body.model_json_schema()
