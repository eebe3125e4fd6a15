"""Submits the graphs that clients send, as jobs of their pictures, and finds and stops them later.

A prompt is a kept call; each of its pictures is a job of its own. Knows requests and jobs; must not know sockets.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sdcpp_rest.config import LimitsConfig
from sdcpp_rest.core.job import Job
from sdcpp_rest.core.kept_call import CallPart, KeptCall
from sdcpp_rest.core.load_spec import UpscalerSpec
from sdcpp_rest.errors import Conflict, InvalidRequest, JobNotFound, ModelNotFound, NotSupported
from sdcpp_rest.groups.core_groups import JobServices
from sdcpp_rest.groups.submission_group import SubmissionServices
from sdcpp_rest.routes.comfyui.errors import GraphRefused
from sdcpp_rest.routes.comfyui.graph import Evaluation, Node, find_outputs, read_graph
from sdcpp_rest.routes.comfyui.node_types import NodeFault
from sdcpp_rest.routes.comfyui.surroundings import GraphSurroundings, Lists
from sdcpp_rest.routes.comfyui.translate import Drawing, DrawingFault, place_of, render_mask, to_drawings
from sdcpp_rest.services.dispatch.upscaler_slot import UpscalerSlot
from sdcpp_rest.services.jobs.chance import new_job_id
from sdcpp_rest.services.model_headers.autoencoders import upscale_factor
from sdcpp_rest.services.path_redaction import PathRedaction
from sdcpp_rest.services.submission.picture_rounds import Round
from sdcpp_rest.services.submission.upscale_submission import UpscaleRequest

ORIGIN = "comfyui"
MOST_JOBS = 64
_PROMPT_ID = re.compile(r"[0-9A-Za-z_.:-]{1,100}")
_LONGEST_CLIENT = 200
# What is longer is a picture, or no text that anybody reads in a history.
_LONGEST_KEPT_TEXT = 20_000


@dataclass
class ReadPrompt:
    """A body of POST /prompt that was read: the graph, the jobs it becomes, and what is kept of it."""

    graph: Mapping[str, Node]
    outputs: list[str]
    drawings: list[Drawing]
    call: KeptCall
    notes: list[str] = field(default_factory=list)
    is_urgent: bool = False


class Prompts:
    """Reads, submits, finds and stops prompts.

    Thread-safe, one for each request.
    """

    def __init__(
        self,
        jobs: JobServices,
        submission: SubmissionServices,
        upscalers: UpscalerSlot,
        lists: Lists,
        limits: LimitsConfig,
        redact_paths: PathRedaction,
    ) -> None:
        self._redact_paths = redact_paths
        self._jobs = jobs
        self._submission = submission
        self._upscalers = upscalers
        self._lists = lists
        self._limits = limits

    # --- drawing ----------------------------------------------------------------------------------------------------

    def submit(self, body: Mapping[str, Any]) -> KeptCall:
        """Submit all jobs of a graph, or none. Raises GraphRefused, QueueFull, EngineUnavailable."""
        prompt = self._read(body)
        # Before its jobs: whoever hears of one finds the prompt.
        kept = self._jobs.kept_calls.keep(prompt.call) or self._find_earlier(prompt.call)
        if kept is None:
            raise GraphRefused("invalid_prompt", "Invalid prompt", "prompt_id: there is a prompt of that id already")
        try:
            self._submit_all(prompt, kept)
        except BaseException:
            self._jobs.kept_calls.forget([kept.id])
            raise
        if prompt.is_urgent:
            for part in reversed(kept.parts):
                with contextlib.suppress(Conflict):  # it has begun already
                    self._jobs.queue.to_front(part.job_id)
        return kept

    def _find_earlier(self, call: KeptCall) -> KeptCall | None:
        """The same call as an earlier try of it was kept: its jobs have the same ids."""
        earlier = self._jobs.kept_calls.find(call.id)
        is_same = earlier is not None and [one.job_id for one in earlier.parts] == [one.job_id for one in call.parts]
        return earlier if is_same else None

    def _submit_all(self, prompt: ReadPrompt, kept: KeptCall) -> None:
        rounds = self._submission.rounds
        owner = f"{ORIGIN}:{kept.client}" if kept.client else ORIGIN
        with rounds.open(owner, "txt2img", len(prompt.drawings)) as opened:
            rounds.submit(opened, lambda k: self._submit_one(prompt, kept, opened, k))
            # Nobody waits here: the round only saw to it that they come all together or not at all.
            opened.is_left_to_queue = True

    def _submit_one(self, prompt: ReadPrompt, kept: KeptCall, opened: Round, k: int) -> Job:
        drawing = prompt.drawings[k]
        try:
            return self._enter(drawing, kept.parts[k].job_id, opened.owner, prompt.notes)
        except (InvalidRequest, ModelNotFound, NotSupported) as error:
            node, input_name = place_of(drawing, error.detail)
            # In the client's words: the parameter as its node calls it.
            sentence = error.message.replace(str(error.detail.get("field") or input_name), input_name, 1)
            said = self._redact_paths(sentence)
            fault = NodeFault("custom_validation_failed", "Custom validation failed", said, input_name)
            raise self._refuse(prompt.graph, prompt.outputs, node, fault) from None

    def _enter(self, drawing: Drawing, job_id: str, owner: str | None, notes: list[str]) -> Job:
        if drawing.kind == "upscale":
            upscaler = self._upscaler(drawing)
            # Said, and not left to the upscaler: what is not loaded yet has no factor that sizes could be bounded by.
            factor = upscale_factor(upscaler.model) if upscaler is not None else None
            asked = UpscaleRequest(image_base64=drawing.images["image"], upscale_factor=factor)
            return self._submission.upscales.submit(
                asked, spec=upscaler, origin=ORIGIN, owner=owner, warnings=notes, job_id=job_id
            )[0]
        spec = self._submission.titles.spec(drawing.model, components=drawing.components)
        if spec is None:
            raise InvalidRequest("there is no model", field="model")
        params = drawing.asked_with(spec.architecture)
        notes = [*notes, *drawing.notes_with(spec.architecture)]
        if drawing.kind == "txt2vid":
            return self._submission.videos.video(
                params,
                images=drawing.images,
                spec=spec,
                origin=ORIGIN,
                owner=owner,
                warnings=notes,
                job_id=job_id,
            )[0]
        return self._submission.pictures.picture(
            drawing.kind,
            params,
            images=drawing.images,
            spec=spec,
            origin=ORIGIN,
            owner=owner,
            warnings=notes,
            job_id=job_id,
            upscaler=self._upscaler(drawing),
        )[0]

    def _upscaler(self, drawing: Drawing) -> UpscalerSpec | None:
        return self._upscalers.build_spec(drawing.upscaler.name) if drawing.upscaler is not None else None

    # --- reading ----------------------------------------------------------------------------------------------------

    def _read(self, body: Mapping[str, Any]) -> ReadPrompt:
        """The jobs of a body. Raises GraphRefused."""
        graph = read_graph(body.get("prompt"))
        outputs = find_outputs(graph, body.get("partial_execution_targets"))
        around = GraphSurroundings(self._jobs.uploaded, self._jobs.outputs)
        shown = Evaluation(graph, around, self._limits, self._lists.find).run(outputs)
        try:
            drawings = to_drawings(shown, lambda mask: render_mask(mask, around.measure))
        except DrawingFault as fault:
            raise self._refuse(graph, outputs, fault.node, fault.fault) from None
        except (NodeFault, InvalidRequest) as error:
            found = error if isinstance(error, NodeFault) else NodeFault("invalid_prompt", "", error.message)
            raise self._refuse(graph, outputs, outputs[0], found) from None
        if len(drawings) > MOST_JOBS:
            raise GraphRefused("invalid_prompt", "Invalid prompt", f"At most {MOST_JOBS} pictures are drawn at a time")
        call = _make_call(body, outputs, drawings)
        return ReadPrompt(graph, outputs, drawings, call, around.notes, is_urgent=body.get("front") is True)

    def _refuse(self, graph: Mapping[str, Node], outputs: list[str], node: str, fault: NodeFault) -> GraphRefused:
        evaluation = Evaluation(graph, GraphSurroundings(self._jobs.uploaded, self._jobs.outputs), self._limits, _none)
        return evaluation.refuse({node: [fault]}, outputs)


class PromptWatch:
    """Finds prompts with their jobs, and stops them. Thread-safe."""

    def __init__(self, jobs: JobServices) -> None:
        self._jobs = jobs

    def jobs_of(self, call: KeptCall) -> list[Job]:
        """A prompt's jobs that are still there, in order."""
        found = self._jobs.queue.get_many([part.job_id for part in call.parts])
        return [found[part.job_id] for part in call.parts if part.job_id in found]

    def jobs_of_all(self, calls: Sequence[KeptCall]) -> dict[str, list[Job]]:
        """The same of many prompts, by their ids."""
        found = self._jobs.queue.get_many([part.job_id for call in calls for part in call.parts])
        return {call.id: [found[one.job_id] for one in call.parts if one.job_id in found] for call in calls}

    def waiting(self) -> tuple[list[KeptCall], list[KeptCall]]:
        """The prompts that run, and those that wait, in the order of the queue."""
        positions = self._jobs.queue.positions()
        now = self._calls_of([active.job.id for active in self._jobs.active.all()])
        later = self._calls_of(sorted(positions, key=lambda job_id: positions[job_id]))
        ids = {call.id for call in now}
        return now, [call for call in later if call.id not in ids]

    def remaining(self) -> int:
        """How many jobs wait or run, whoever has sent them."""
        counts = self._jobs.queue.counts()
        return counts.get("pending", 0) + counts.get("processing", 0)

    def interrupt(self, prompt_id: str | None, *, everything: bool) -> None:
        """Stop the prompt of that id if it runs, or whatever prompt runs; ``everything``: other callers' jobs, too."""
        for active in self._jobs.active.all():
            call = self._jobs.kept_calls.find_by_job(active.job.id)
            if call is not None and prompt_id in (None, call.id):
                self.cancel(call)
            elif call is None and everything and prompt_id is None:
                self._cancel_job(active.job.id)

    def cancel(self, call: KeptCall) -> None:
        """Cancel what is not finished of a prompt; the last job first, or the next would begin meanwhile."""
        for part in reversed(call.parts):
            self._cancel_job(part.job_id)

    def drop_pending(self, prompt_ids: list[str] | None) -> None:
        """Cancel the waiting prompts of these ids, or all (``None``)."""
        for call in self.waiting()[1]:
            if prompt_ids is None or call.id in prompt_ids:
                self.cancel(call)

    def _calls_of(self, job_ids: list[str]) -> list[KeptCall]:
        found = [self._jobs.kept_calls.find_by_job(job_id) for job_id in job_ids]
        return [*{call.id: call for call in found if call is not None}.values()]

    def _cancel_job(self, job_id: str) -> None:
        with contextlib.suppress(Conflict, JobNotFound):  # it has ended
            self._jobs.queue.cancel(job_id)


def _none(name: str, word: str) -> str:
    raise LookupError


def _make_call(body: Mapping[str, Any], outputs: list[str], drawings: list[Drawing]) -> KeptCall:
    prompt_id = body.get("prompt_id") or new_job_id()
    if not isinstance(prompt_id, str) or not _PROMPT_ID.fullmatch(prompt_id):
        raise GraphRefused("invalid_prompt", "Invalid prompt", "prompt_id must be a text like a UUID's")
    client, extra = body.get("client_id"), body.get("extra_data") or {}
    if client is not None and (not isinstance(client, str) or len(client) > _LONGEST_CLIENT):
        raise GraphRefused(
            "invalid_prompt", "Invalid prompt", f"client_id must be a text of at most {_LONGEST_CLIENT} characters"
        )
    if not isinstance(extra, dict):
        raise GraphRefused("invalid_prompt", "Invalid prompt", "extra_data must be an object")
    client = client or None
    info = extra.get("extra_pnginfo")
    workflow = info.get("workflow") if isinstance(info, dict) else None
    texts = {"prompt": json.dumps(shorten_texts(body["prompt"]))}
    if workflow is not None:
        texts["workflow"] = json.dumps(shorten_texts(workflow))
    kept = {name: shorten_texts(value) for name, value in extra.items() if name != "extra_pnginfo"}
    if client:
        kept["client_id"] = client
    parts = tuple(CallPart(job_id=new_job_id(), about=_describe(drawing)) for drawing in drawings)
    return KeptCall(id=prompt_id, client=client, texts=texts, sent={"extra": kept, "outputs": outputs}, parts=parts)


def _describe(drawing: Drawing) -> dict[str, Any]:
    """What is kept of a job: which nodes show its pictures and how, and which its progress passes."""
    shown = [
        {"node": one.node, "kept": one.is_kept, "sent": one.is_sent, "video": bool(one.video_format)}
        for one in drawing.outputs
    ]
    return {"outputs": shown, "stages": drawing.stages}


def shorten_texts(value: Any) -> Any:
    """``value`` with its longest texts replaced: those are pictures, and nobody reads them in a history."""
    if isinstance(value, str):
        return value if len(value) <= _LONGEST_KEPT_TEXT else f"({len(value)} characters that are not kept)"
    if isinstance(value, dict):
        return {name: shorten_texts(inner) for name, inner in value.items()}
    return [shorten_texts(inner) for inner in value] if isinstance(value, list) else value
