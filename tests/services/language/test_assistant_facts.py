"""The facts that the assistant's model gets: what matters, bounded."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from sdcpp_rest.core.job import Job
from sdcpp_rest.services.language.assistant_facts import ServerFacts


def look(files: int = 1, jobs: tuple[Job, ...] = (), **health: Any) -> dict[str, Any]:
    library: Any = SimpleNamespace(
        list=lambda: {"diffusion_models": [SimpleNamespace(name=f"m{i}" + "x" * 500) for i in range(files)], "vae": []}
    )
    queue: Any = SimpleNamespace(list=lambda limit: list(jobs))
    options = {"samplers": ["euler"], "schedulers": ["karras"], "quantization_types": [{"id": "q8_0"}]}
    return ServerFacts(lambda: {"model_loaded": True, "version": "1", **health}, lambda: options, library, queue)()


def test_what_is_empty_or_of_no_interest_is_left_out() -> None:
    facts = look(model_name="demo", last_error=None, engine={"pid": 1})
    assert facts["health"] == {"model_loaded": True, "model_name": "demo"}
    assert list(facts["models"]) == ["diffusion_models"]
    assert (facts["samplers"], facts["weight_types"]) == (["euler"], ["q8_0"])


def test_thousands_of_models_are_counted_and_long_names_cut() -> None:
    names = look(files=5000)["models"]["diffusion_models"]
    assert len(names) == 41
    assert names[-1] == "and 4960 more"
    assert max(len(name) for name in names) == 120


def test_only_the_last_jobs_and_what_they_were_for() -> None:
    failed = Job(id="j", kind="txt2img", status="failed", params={"prompt": "p" * 999, "seed": 1}, error="e" * 999)
    facts = look(jobs=(failed,) * 9)
    assert len(facts["last_jobs"]) == 5
    job = facts["last_jobs"][0]
    assert (job["job_id"], job["status"], len(job["prompt"]), len(job["error"])) == ("j", "failed", 200, 200)
    assert "seed" not in job


def test_engines_are_told_where_there_are_several() -> None:
    engine = {
        "name": "cuda:0", "device": "c" * 500, "state": "idle", "why": None, "job_id": None, "model_name": "demo",
        "pid": 1,
    }  # fmt: skip
    library: Any = SimpleNamespace(list=dict)
    queue: Any = SimpleNamespace(list=lambda limit: [])

    def look_at(count: int) -> dict[str, Any]:
        return ServerFacts(dict, dict, library, queue, engines=lambda: [engine] * count)()

    assert "engines" not in look_at(1)
    engines = look_at(60)["engines"]
    assert len(engines) == 16
    assert engines[0] == {"name": "cuda:0", "device": "c" * 120, "state": "idle", "model_name": "demo"}
