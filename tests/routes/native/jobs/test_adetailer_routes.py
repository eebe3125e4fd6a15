from __future__ import annotations

from flask.testing import FlaskClient

from tests.cases import for_each_case


@for_each_case(
    ("method", "path"),
    [("POST", ""), ("GET", "/status"), ("POST", "/load"), ("POST", "/unload")],
)
def test_adetailer_is_refused_in_words(shared_client: FlaskClient, method: str, path: str) -> None:
    answer = shared_client.open(
        f"/adetailer{path}", method=method, json={"detector": "x"} if method == "POST" else None
    )
    assert answer.status_code == 501
    assert "no detector of faces" in answer.get_json()["error"]
    assert "mask_image_base64" in answer.get_json()["error"]
