"""A fuzzer reads the OpenAPI document and talks to a real server by it: nothing may break, nothing may be undocumented.

Derandomized and bounded, so that it says the same every time and takes about a minute. The engine computes nothing.
Every operation is a test of its own, with a server that is brought back to its beginning.
"""

from __future__ import annotations

import copy
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable

from tests.routes.conftest import House, ServedHouse, make_config
from tests.routes.documented_answers import whole
from tests.services.conftest import png_text

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import schemathesis
    from schemathesis import GenerationMode
    from schemathesis.checks import not_a_server_error
    from schemathesis.core.failures import FailureGroup
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

CHECKS = [content_type_conformance, response_schema_conformance, status_code_conformance]
EXAMPLES = 20
LEAST_CASES = 600
# Small pictures: what is asked for is really made, encoded and stored.
LIMITS = {"side": 64, "steps": 16, "batch": 2, "pending_jobs": 50}
# Nobody's language model server is there; and settings that were fuzzed may name one that says something else.
NOWHERE = {"base_url": "http://127.0.0.1:1"}
NO_MODEL = {"llm_unreachable", "llm_disabled", "llm_failed", "llm_model_not_found", "llm_timeout"}
# Nor are the sources of models, or any other address.
NO_SOURCES = {"huggingface_endpoint": "http://127.0.0.1:1", "civitai_endpoint": "http://127.0.0.1:1"}
NO_SOURCE = {"source_unavailable", "host_unknown"}
# 5xx answers that are meant: what is not built yet, and the native contract's way to say that a model is not there.
MEANT = {
    "POST /models/download": NO_SOURCE,
    "GET /models/civitai/{model_id}": NO_SOURCE,
    "GET /models/huggingface": NO_SOURCE,
    "POST /ollama/enhance": NO_MODEL,
    "GET /ollama/models": NO_MODEL,
    "POST /assistant/chat": NO_MODEL,
    "POST /assistant/chat/stream": NO_MODEL,
    "GET /assistant/model-info": NO_MODEL,
    "PUT /settings/output": {"not_supported"},
    "POST /models/load": {"model_not_found", "not_supported"},
    "POST /upscaler/load": {"model_not_found"},
    "GET /adetailer/status": {"not_supported"},
    "POST /adetailer": {"not_supported"},
    "POST /adetailer/load": {"not_supported"},
    "POST /adetailer/unload": {"not_supported"},
    # Nobody has built the page.
    "GET /ui": {"not_supported"},
    "GET /ui/{path}": {"not_supported"},
    # The engine of these tests has no library, and no vocabularies.
    "POST /prompt/tokens": {"not_supported"},
    "POST /txt2img": {"not_supported"},
    "POST /img2img": {"not_supported"},
    "POST /interrogate": {None},
    "POST /api/sd/interrogate": {2000},
    "POST /api/chat": {None},
    "POST /api/embed": {None},
    "POST /api/pull": {None},
    "POST /v1/chat/completions": {"not_supported"},
    "POST /v1/completions": {"not_supported"},
    "POST /v1/embeddings": {"not_supported"},
    "POST /v1/responses": {"not_supported"},
    # Below /sdapi these are that program's own: a picture that is none, an upscaler or a model that is not there.
    "POST /sdapi/v1/txt2img": {"HTTPException"},
    "POST /sdapi/v1/img2img": {"HTTPException"},
    "POST /sdapi/v1/png-info": {"HTTPException"},
    "POST /sdapi/v1/interrogate": {"HTTPException", "NotSupported"},
    "POST /sdapi/v1/extra-single-image": {"HTTPException", "RuntimeError"},
    "POST /sdapi/v1/extra-batch-images": {"HTTPException", "RuntimeError"},
    "POST /sdapi/v1/options": {"RuntimeError"},
    "POST /sdapi/v1/create/embedding": {"NotSupported"},
    "POST /sdapi/v1/create/hypernetwork": {"NotSupported"},
    "POST /sdapi/v1/train/embedding": {"NotSupported"},
    "POST /sdapi/v1/train/hypernetwork": {"NotSupported"},
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]

PICTURE_PATHS = ("/txt2img", "/img2img")
OPERATIONS = {
    f"{method.upper()} {path}": operation
    for path, methods in whole()["paths"].items()
    for method, operation in methods.items()
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedHouse]:
    sections = {"limits": LIMITS, "ollama": NOWHERE, "assistant": NOWHERE, "downloads": NO_SOURCES}
    house = House(make_config(tmp_path_factory.mktemp("fuzzed"), **sections))
    served = ServedHouse(house).start()
    yield served
    served.stop()


def code_of(body: Any) -> Any:
    """The word, or the number, for programs in an error of any dialect; ``None`` where one has none."""
    error = body.get("error")
    if isinstance(error, dict):
        return error["code"]
    # AUTOMATIC1111's names the kind of failure where others have a sentence.
    return error if "errors" in body else body.get("code")


class Fuzzer:
    """Sends what it was given, checks what comes back, and keeps count."""

    def __init__(self, served: ServedHouse) -> None:
        self.count: Counter[tuple[str, int]] = Counter()
        self.faults: list[str] = []
        self.accepted: list[str] = []
        self._url = served.url
        self._session = requests.Session()

    def try_all(self, document: dict[str, Any], known_paths: dict[str, dict[str, str]]) -> None:
        """Every operation of ``document`` with bodies and parameters that fit it and with some that do not; also with
        ``known_paths``, path parameters by a part of the path."""
        for found in schemathesis.openapi.from_dict(document).get_all_operations():
            operation = found.ok()
            known = [parameters for part, parameters in known_paths.items() if part in operation.path]
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                for parameters in ({}, *({"path_parameters": one} for one in known)):
                    self._try(operation, mode, parameters)

    def told(self) -> str:
        """How many requests were answered with which status."""
        statuses: Counter[int] = Counter()
        for (_, status), number in self.count.items():
            statuses[status] += number
        return f"{sum(statuses.values())} requests; by status: {dict(sorted(statuses.items()))}"

    def _try(self, operation: Any, mode: Any, parameters: dict[str, Any]) -> None:
        name = f"{operation.method.upper()} {operation.path}"

        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            database=None,
            deadline=None,
            phases=(Phase.explicit, Phase.generate),
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(mode, **parameters))
        def run(case: Any) -> None:
            response = case.call(base_url=self._url, session=self._session, timeout=20)
            self.count[name, response.status_code] += 1
            if response.status_code == 202 and operation.path in PICTURE_PATHS:
                self.accepted.append(response.json()["job_id"])
            is_meant = response.status_code >= 500 and code_of(response.json()) in MEANT.get(name, ())
            case.validate_response(response, checks=CHECKS if is_meant else [*CHECKS, not_a_server_error])

        try:
            run()
        except Unsatisfiable:
            # Nothing about this operation can be wrong.
            assert mode is GenerationMode.NEGATIVE
        except (Exception, FailureGroup) as error:
            # The groups are no Exception, so that code under test cannot swallow them by accident.
            self.faults.append(f"{name}: {error}"[:2000])


def restarts_of(served: ServedHouse) -> int:
    return int(served.get("/health").json()["engine"]["restarts"])


def only(document: dict[str, Any], name: str) -> dict[str, Any]:
    """The document of one operation."""
    method, path = name.split(" ")
    return {**document, "paths": {path: {method.lower(): document["paths"][path][method.lower()]}}}


def least_requests(name: str) -> int:
    """How many requests an operation gets at the least. One that takes nothing can only be asked in one way."""
    takes = OPERATIONS[name]
    return EXAMPLES if takes.get("requestBody") or takes.get("parameters") else 1


def only_what_can_be_drawn(document: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """The picture routes alone, with what their document says in words: the samplers there are, a real picture, and
    nothing that is not available yet."""
    narrowed = copy.deepcopy(document)
    narrowed["paths"] = {path: narrowed["paths"][path] for path in PICTURE_PATHS}
    for name in ("Txt2ImgBody", "Img2ImgBody"):
        fields = narrowed["components"]["schemas"][name]["properties"]
        for field in ("ref_images", "control_image_base64", "pm_id_images", "pm_id_embed_path", "upscale"):
            del fields[field]
        fields["sampler"]["enum"] = options["samplers"]
        # gits needs more than one step.
        fields["scheduler"]["enum"] = [scheduler for scheduler in options["schedulers"] if scheduler != "gits"]
        fields["skip_layers"]["items"] |= {"minimum": 0, "maximum": 1023}
        del fields["custom_sigmas"]
        for field in fields.keys() & {"init_image_base64", "mask_image_base64"}:
            fields[field]["enum"] = [png_text(9, 7), "data:image/png;base64," + png_text(64, 3)]
    return narrowed


@pytest.fixture
def known(served: ServedHouse) -> dict[str, dict[str, str]]:
    """A server that is as it was before others were fuzzed (a fuzzed unload, pause or default must not make every later
    picture a refused one), and path parameters of what is really there: a finished job, its picture, a model."""
    for path in ("/queue/resume", "/settings/reset"):
        assert served.post(path).status_code == 200
    body = {"model_name": "demo_dit_q8_0.gguf", "options": {"vae_decode_only": False}}
    assert served.post("/models/load", json=body).status_code == 200
    job = served.post("/txt2img", json={"prompt": "x", "steps": 1, "width": 8, "height": 8}).json()["job_id"]
    served.runtime.jobs.queue.wait(job, 20)
    return {
        "{job_id}": {"job_id": job},
        "/output/{path}": {"path": f"{job}/image_0.png"},
        "/v1/images/files": {"ticket": "open", "job_id": job, "name": "image_0.webp"},
        "/models/hash": {"model_type": "diffusion", "model_name": "demo_dit_q8_0.gguf"},
    }


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_server_keeps_its_word_to_a_fuzzer(
    served: ServedHouse, known: dict[str, dict[str, str]], name: str
) -> None:
    fuzzer, before = Fuzzer(served), restarts_of(served)
    fuzzer.try_all(only(served.get("/openapi.json").json(), name), known)
    print(f"\n  {fuzzer.told()}")
    assert fuzzer.faults == []
    assert {asked for asked, _ in fuzzer.count} == {name}
    assert sum(fuzzer.count.values()) >= least_requests(name)
    # None but those that were asked for.
    assert restarts_of(served) - before == fuzzer.count["POST /engine/restart", 200]


@pytest.mark.parametrize("path", PICTURE_PATHS)
def test_pictures_that_can_be_drawn_are_drawn_for_a_fuzzer(
    served: ServedHouse, known: dict[str, dict[str, str]], path: str
) -> None:
    document, options = served.get("/openapi.json").json(), served.get("/options").json()
    fuzzer, before = Fuzzer(served), restarts_of(served)
    fuzzer.try_all(only(only_what_can_be_drawn(document, options), f"POST {path}"), known)
    print(f"\n  {fuzzer.told()}")
    assert fuzzer.faults == []
    assert fuzzer.count[f"POST {path}", 202] >= 10, "bodies that are accepted must be generated, too"
    assert served.runtime.jobs.queue.wait(fuzzer.accepted[0], 20).status == "completed"
    assert (Path(served.runtime.config.paths.output_dir) / fuzzer.accepted[0] / "image_0.png").is_file()
    assert restarts_of(served) == before


def test_the_floors_of_all_operations_add_up() -> None:
    assert sum(map(least_requests, OPERATIONS)) >= LEAST_CASES


def test_the_fuzzer_would_notice(served: ServedHouse) -> None:
    document = served.get("/openapi.json").json()
    document["paths"] = {"/queue/{job_id}": {"get": document["paths"]["/queue/{job_id}"]["get"]}}
    del document["paths"]["/queue/{job_id}"]["get"]["responses"]["404"]
    fuzzer = Fuzzer(served)
    fuzzer.try_all(document, {})
    assert "Undocumented status code" in "".join(fuzzer.faults)
