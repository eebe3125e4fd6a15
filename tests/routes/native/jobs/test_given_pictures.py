"""Pictures that are on the server already, named where base64 would stand; and read by their jobs' roles."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from PIL import Image

from tests.routes.conftest import House
from tests.routes.native.jobs.test_resubmission import SMALL, bytes_of, picture, sent

DOT = {**SMALL, "prompt": "a dot", "seed": 7}


def test_a_finished_picture_by_reference_is_the_same_as_its_bytes(house: House) -> None:
    drawn = sent(house, "/txt2img", DOT)
    uploaded = base64.b64encode(bytes_of(house, drawn)[0]).decode()
    for fields in ({"init_image_base64": ...}, {"init_image_base64": picture(), "mask_image_base64": ...}):
        by = [{name: way if value is ... else value for name, value in fields.items()} for way in (
            uploaded, {"output": drawn["outputs"][0]}
        )]  # fmt: skip
        first, second = (sent(house, "/img2img", {**DOT, **body}) for body in by)
        inputs = [house.runtime.jobs.outputs.inputs_of(job["job_id"]) for job in (first, second)]
        for name in ("init_image.png",):
            assert (inputs[0] / name).read_bytes() == (inputs[1] / name).read_bytes()
        assert [Image.open(io.BytesIO(data)).tobytes() for data in bytes_of(house, first)] == [
            Image.open(io.BytesIO(data)).tobytes() for data in bytes_of(house, second)
        ]


def test_a_given_picture_by_reference_goes_wherever_pictures_go(house: House) -> None:
    first = sent(house, "/img2img", {**DOT, "init_image_base64": picture(), "mask_image_base64": picture("white")})
    reference = {"input": f"{first['job_id']}/mask_image"}
    second = sent(house, "/txt2img", {**DOT, "ref_images": [reference, picture()]})
    assert len(second["params"]["ref_images"]) == 2


def test_a_given_picture_is_served_with_an_etag(house: House) -> None:
    job = sent(house, "/img2img", {**DOT, "init_image_base64": picture()})
    answer = house.client.get(f"/jobs/{job['job_id']}/inputs/init_image", buffered=True)
    assert answer.mimetype == "image/png"
    assert Image.open(io.BytesIO(answer.data)).size == (64, 64)
    headers = {"If-None-Match": answer.headers["ETag"]}
    assert (
        house.client.get(f"/jobs/{job['job_id']}/inputs/init_image", headers=headers, buffered=True).status_code == 304
    )
    for path in (f"{job['job_id']}/inputs/mask_image", "nope/inputs/init_image", f"{job['job_id']}/inputs/..%2fx"):
        assert house.client.get(f"/jobs/{path}").status_code == 404


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"output": "nope/image_0.png"}, "there is no such output: nope/image_0.png"),
        ({"output": "../data/sdcpp_rest.db"}, "there is no such output"),
        ({"output": "/etc/passwd"}, "there is no such output"),
        ({"output": ".bin"}, "there is no such output"),
        ({"output": ""}, "is a folder"),
        ({"input": "nope/init_image"}, "there is no such picture of a job"),
        ({"input": ""}, "there is no such picture of a job"),
        ({"input": 3}, "got an object with input"),
        ({}, "got an object with nothing"),
        ({"output": "a", "input": "b"}, "got an object with output, input"),
        ({"url": "http://a/b.png"}, "got an object with url"),
        (["a"], "must be a string that is not empty"),
    ],
)
def test_what_names_no_picture_is_refused(house: House, value: Any, said: str) -> None:
    answer = house.client.post("/img2img", json={**DOT, "init_image_base64": value})
    assert answer.status_code == 400
    assert answer.get_json()["field"] == "init_image_base64"
    assert said in answer.get_json()["error"]


def test_pictures_that_are_too_large_together_are_refused(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = sent(house, "/txt2img", DOT)
    from sdcpp_rest.routes.native.jobs import given_pictures

    usual = given_pictures._Budget
    monkeypatch.setattr(given_pictures, "_Budget", lambda left: usual(10))
    answer = house.client.post("/txt2img", json={**DOT, "ref_images": [{"output": drawn["outputs"][0]}]})
    assert answer.status_code == 400
    assert answer.get_json()["error"].startswith("ref_images[0]: the pictures referred to are too large together")
