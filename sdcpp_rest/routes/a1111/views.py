"""AUTOMATIC1111's calls that draw: they submit jobs like everybody, wait for them, and answer with the pictures."""

from __future__ import annotations

from flask import Blueprint, Response

from sdcpp_rest.routes.a1111.answering import PictureAnswers
from sdcpp_rest.routes.a1111.answers import A1111Pictures
from sdcpp_rest.routes.a1111.choices import Choices, open_choices
from sdcpp_rest.routes.a1111.errors import A1111Error
from sdcpp_rest.routes.a1111.reading import caller, read
from sdcpp_rest.routes.a1111.scripts.all_scripts import find_script
from sdcpp_rest.routes.a1111.scripts.choosing import open_script_tools
from sdcpp_rest.routes.a1111.scripts.running import ORIGIN, kind_of, run_script
from sdcpp_rest.routes.a1111.translate import PictureCall, Translator
from sdcpp_rest.routes.a1111.wire import A1111Img2Img, A1111Request, A1111Txt2Img
from sdcpp_rest.routes.http.answers import runtime
from sdcpp_rest.routes.http.openapi import documents
from sdcpp_rest.routes.http.pools import blocking
from sdcpp_rest.routes.http.safe_retries import submitting
from sdcpp_rest.routes.http.scopes import needs

a1111_generation = Blueprint("a1111_generation", __name__)


@a1111_generation.post("/sdapi/v1/txt2img")
@needs("generate")
@documents({200: A1111Pictures}, errors=(404, 422, 429, 507), body=A1111Txt2Img, refusals=(A1111Error,))
@blocking
@submitting
def a1111_txt2img() -> Response:
    """Draw pictures from words and answer with them. Waits its turn in the queue."""
    return _generate(read(A1111Txt2Img))


@a1111_generation.post("/sdapi/v1/img2img")
@needs("generate")
@documents({200: A1111Pictures}, errors=(404, 422, 429, 501, 502, 504, 507), body=A1111Img2Img, refusals=(A1111Error,))
@blocking
@submitting
def a1111_img2img() -> Response:
    """Draw pictures from pictures and words and answer with them. Waits its turn in the queue."""
    return _generate(read(A1111Img2Img))


def _generate(sent: A1111Request) -> Response:
    choices, answers = open_choices(), _make_answers()
    translator = _make_translator(choices)
    script = find_script(sent.script_name or "", kind_of(sent))
    if script is not None:
        tools = open_script_tools(translator, choices)
        response = run_script(script, sent, tools, runtime().submission.rounds, answers, caller())
    else:
        response = _draw(translator.translate(sent), answers)
    if sent.override_settings and not sent.override_settings_restore_afterwards:
        choices.keep_overrides(sent.override_settings)
    return response


def _draw(call: PictureCall, answers: PictureAnswers) -> Response:
    rounds = runtime().submission.rounds
    answers.begin_sums(call.spec)
    with rounds.open(caller(), call.plan.kind, call.count, call.body.force_task_id) as opened:
        rounds.submit_pictures(opened, call.request, origin=ORIGIN)
        return answers.compose(call, opened, rounds.take_all(opened))


def _make_translator(choices: Choices) -> Translator:
    running = runtime()
    return Translator(
        choices,
        running.submission.intake,
        running.models.library,
        running.submission.titles,
        running.settings.prompt_styles,
        running.status.options(),
        running.config.a1111.pictures,
    )


def _make_answers() -> PictureAnswers:
    running = runtime()
    patience_seconds = running.config.a1111.hash_patience_seconds
    return PictureAnswers(running.submission.titles, running.jobs.outputs, patience_seconds, running.version)
