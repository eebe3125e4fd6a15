"""Gives the views what they need of the server: the prompts, and the lists that graphs choose from."""

from __future__ import annotations

from sdcpp_rest.routes.comfyui.history import describe_prompt, has_ended, queue_item
from sdcpp_rest.routes.comfyui.prompts import Prompts, PromptWatch
from sdcpp_rest.routes.comfyui.surroundings import Lists
from sdcpp_rest.routes.http.answers import runtime

MOST_SHOWN = 1_000
"""Prompts of the history in one answer."""


def open_lists() -> Lists:
    """The lists to choose from, as they are now."""
    running = runtime()
    engine = running.status.options()
    return Lists(
        running.submission.model_choice,
        running.models.library,
        running.jobs.uploaded,
        engine["samplers"],
        engine["schedulers"],
    )


def open_prompts() -> Prompts:
    """What submits prompts."""
    running = runtime()
    return Prompts(
        running.jobs,
        running.submission,
        running.models.upscalers,
        open_lists(),
        running.config.limits,
        running.redact_paths,
    )


def open_watch() -> PromptWatch:
    """What finds and stops prompts."""
    return PromptWatch(runtime().jobs)


def show_history(limit: int, offset: int) -> dict[str, object]:
    """The newest prompts that have ended, the oldest of them first, as clients expect it."""
    watch = open_watch()
    count = limit if 0 <= limit <= MOST_SHOWN else MOST_SHOWN
    calls = runtime().jobs.kept_calls.newest_ended(count, max(0, offset))
    found = watch.jobs_of_all(calls)
    return {call.id: describe_prompt(call, found[call.id]) for call in reversed(calls) if has_ended(found[call.id])}


def show_prompt(prompt_id: str) -> dict[str, object]:
    """One prompt of the history; an empty object while it has not ended, and for one that nobody knows."""
    call = runtime().jobs.kept_calls.find(prompt_id)
    jobs = open_watch().jobs_of(call) if call is not None else []
    return {call.id: describe_prompt(call, jobs)} if call is not None and has_ended(jobs) else {}


def show_queue() -> dict[str, object]:
    """The prompts that run and those that wait."""
    now, later = open_watch().waiting()
    return {"queue_running": [queue_item(call) for call in now], "queue_pending": [queue_item(call) for call in later]}
