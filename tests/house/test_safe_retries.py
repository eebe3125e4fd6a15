"""Which requests may name themselves with an Idempotency-Key: all that make jobs."""

from __future__ import annotations

from sdcpp_rest.routes.http.openapi import operations
from sdcpp_rest.routes.http.safe_retries import HEADER, takes_key
from sdcpp_rest.web.app import create_app

SUBMITTING = {
    "/txt2img", "/img2img", "/txt2vid", "/upscale", "/convert", "/models/download",
    "/v1/images/generations", "/v1/images/edits", "/v1/images/variations", "/v1/chat/completions",
    "/images/generations", "/images/edits", "/images/variations",
    "/api/sd/txt2img", "/api/sd/img2img", "/api/sd/txt2img/async", "/api/sd/img2img/async", "/api/sd/upscale",
    "/sdapi/v1/txt2img", "/sdapi/v1/img2img", "/sdapi/v1/extra-single-image", "/sdapi/v1/extra-batch-images",
    "/API/GenerateText2Image", "/API/AddImageToHistory",
    "/sdcpp/v1/img_gen", "/sdcpp/v1/vid_gen", "/sdcpp/v1/upscale",
    "/api/generate", "/prompt", "/api/prompt", "/jobs/<job_id>/again",
}  # fmt: skip
GUESSED = {"/auth/login", "/session"}
"""Answer 429 to who guesses keys, and not because the queue is full."""


def test_every_route_that_makes_jobs_takes_a_key() -> None:
    found = {
        rule.rule for rule, method, view, _ in operations(create_app(None)) if takes_key(view) and method == "POST"
    }
    assert found == SUBMITTING


def test_whatever_may_find_the_queue_full_takes_a_key() -> None:
    for rule, method, view, operation in operations(create_app(None)):
        if method == "POST" and 429 in operation.errors and rule.rule not in GUESSED:
            assert takes_key(view), f"{rule.rule} submits jobs, and is not marked as submitting"


def test_nothing_but_a_post_takes_a_key() -> None:
    for rule, method, view, _ in operations(create_app(None)):
        assert method == "POST" or not takes_key(view), f"{method} {rule.rule} takes an {HEADER}"
