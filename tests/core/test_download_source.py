"""What people paste, and what it means."""

from __future__ import annotations

from typing import Any

import pytest

from sdcpp_rest.core.download_source import (
    DownloadSource,
    check_address,
    file_name_of,
    hide_secrets,
    parse_model_and_version,
    recognise_source,
)
from sdcpp_rest.errors import InvalidRequest
from tests.cases import for_each_case

HF = "https://huggingface.co"
CIVITAI = "https://civitai.com"


def meant(**given: Any) -> dict[str, Any]:
    return recognise_source(given, "hub.lan:8000", "civitai.lan:9000").model_dump(exclude_defaults=True)


@for_each_case(
    ("pasted", "repo", "filename", "revision"),
    [
        (f"{HF}/org/name", "org/name", "", ""),
        (f"{HF}/org/name/", "org/name", "", ""),
        (f"{HF}/org/name/tree/main", "org/name", "", "main"),
        (f"{HF}/org/name/blob/main/x.safetensors", "org/name", "x.safetensors", "main"),
        (f"{HF}/org/name/resolve/main/sub/x.gguf?download=true", "org/name", "sub/x.gguf", "main"),
        (f"{HF}/org/name/raw/v1.0/x.gguf", "org/name", "x.gguf", "v1.0"),
        (f"{HF}/org/name/resolve/refs%2Fpr%2F7/x.gguf", "org/name", "x.gguf", "refs/pr/7"),
        (f"{HF}/org/name/blob/main/a%20b.gguf#L1", "org/name", "a b.gguf", "main"),
        (f"{HF}/org/name/discussions/3", "org/name", "", ""),
        (f"{HF}/api/models/org/name", "org/name", "", ""),
        ("http://huggingface.co/org/name", "org/name", "", ""),
        ("https://hf.co/org/name", "org/name", "", ""),
        ("https://HuggingFace.co/org/name", "org/name", "", ""),
        ("huggingface.co/org/name", "org/name", "", ""),
        ("https://hf-mirror.com/org/name", "org/name", "", ""),
        ("http://hub.lan:8000/org/name/blob/main/x.gguf", "org/name", "x.gguf", "main"),
        ("hf://org/name/x.gguf", "org/name", "x.gguf", ""),
        ("hf://org/name@dev/sub/x.gguf", "org/name", "sub/x.gguf", "dev"),
        ("org/name", "org/name", "", ""),
        ("org/name/x.gguf", "org/name", "x.gguf", ""),
    ],
)
def test_hugging_face(pasted: str, repo: str, filename: str, revision: str) -> None:
    expected = {"source": "huggingface", "repo_id": repo, "filename": filename, "revision": revision}
    assert meant(url=pasted) == {name: value for name, value in expected.items() if value}
    assert meant(source="huggingface", repo_id=pasted) == meant(url=pasted)


def test_fields_of_hugging_face() -> None:
    assert meant(repo_id="org/name", filename="x.gguf", revision="v2") == {
        "source": "huggingface",
        "repo_id": "org/name",
        "filename": "x.gguf",
        "revision": "v2",
    }
    assert meant(url=f"{HF}/org/name", filename="x.gguf")["filename"] == "x.gguf"
    with pytest.raises(InvalidRequest, match="filename"):
        meant(url=f"{HF}/org/name/blob/main/x.gguf", filename="y.gguf")


@for_each_case(
    ("pasted", "model", "version"),
    [
        (f"{CIVITAI}/models/123", "123", ""),
        (f"{CIVITAI}/models/123/some-slug", "123", ""),
        (f"{CIVITAI}/models/123/some-slug?modelVersionId=456", "123", "456"),
        (f"{CIVITAI}/models/123?modelVersionId=456#x", "123", "456"),
        (f"{CIVITAI}/api/download/models/456", "", "456"),
        (f"{CIVITAI}/api/download/models/456?type=Model&format=SafeTensor", "", "456"),
        (f"{CIVITAI}/api/v1/models/123", "123", ""),
        (f"{CIVITAI}/api/v1/model-versions/456", "", "456"),
        (f"{CIVITAI}/model-versions/456", "", "456"),
        ("https://www.civitai.com/models/123", "123", ""),
        ("https://civitai.red/models/123", "123", ""),
        ("civitai.com/models/123", "123", ""),
        ("http://civitai.lan:9000/models/123", "123", ""),
        ("urn:air:sdxl:checkpoint:civitai:123@456", "123", "456"),
        ("urn:air:sd1:lora:civitai:123@456.safetensors", "123", "456"),
        ("civitai:123@456", "123", "456"),
        ("123:456", "123", "456"),
        ("123", "123", ""),
    ],
)
def test_civitai(pasted: str, model: str, version: str) -> None:
    expected = {"source": "civitai", "model_id": model, "version_id": version}
    assert meant(url=pasted) == {name: value for name, value in expected.items() if value}


def test_fields_of_civitai() -> None:
    assert meant(model_id=" 123:456 ") == {"source": "civitai", "model_id": "123", "version_id": "456"}
    found = meant(url=f"{CIVITAI}/api/download/models/456?token=secret")
    assert "secret" not in str(found)
    assert "downloads.civitai_token" in found["warnings"][0]


def test_any_other_address_is_a_plain_one() -> None:
    for url in ("https://example.org/x.gguf", "http://example.org:8000/?f=x", "https://huggingface.co.evil.org/a/b"):
        assert meant(url=url) == {"source": "url", "url": url}
    assert meant(source="url", url=f"{HF}/org/name/resolve/main/x.gguf")["source"] == "url"
    assert meant(url="HTTPS://example.org/x.gguf#part")["url"] == "https://example.org/x.gguf"


def test_what_was_not_needed_is_told() -> None:
    assert meant(model_id="123", repo_id="org/name")["warnings"] == ("repo_id was ignored",)


@for_each_case(
    ("given", "field"),
    [
        ({}, "url"),
        ({"url": "  "}, "url"),
        ({"source": "url"}, "url"),
        ({"source": "civitai"}, "model_id"),
        ({"source": "huggingface"}, "repo_id"),
        ({"url": "gopher://example.org/x"}, "url"),
        ({"url": "javascript:alert(1)"}, "repo_id"),
        ({"url": "name"}, "repo_id"),
        ({"url": "../../etc/passwd"}, "repo_id"),
        ({"url": "/etc/passwd"}, "repo_id"),
        ({"url": f"{HF}/org"}, "url"),
        ({"url": f"{HF}/spaces/org/name"}, "url"),
        ({"url": f"{HF}/org/name/settings/x/y"}, None),
        ({"url": f"{HF}/org/../name"}, "repo_id"),
        ({"url": f"{HF}/org/name/blob/main/..%2f..%2fx.gguf"}, "filename"),
        ({"url": f"{HF}/org/name/blob/%2e%2e/x.gguf"}, "revision"),
        ({"url": f"{CIVITAI}/user/someone"}, "url"),
        ({"url": f"{CIVITAI}/models/abc"}, "url"),
        ({"url": f"{CIVITAI}/models/1?modelVersionId=x"}, "url"),
        ({"url": "https://u:p@example.org/x"}, "url"),
        ({"url": "https://example.org/" + "x" * 5000}, "url"),
        ({"url": "https://example.org/a b"}, "url"),
        ({"url": "https://example.org/a\nb"}, "url"),
        ({"url": "https://"}, "url"),
        ({"url": "https://example.org:0/"}, "url"),
        ({"url": "https://example.org:99999/"}, "url"),
        ({"url": "https://[::1/"}, "url"),
        ({"url": "https://example.org\\@evil.org/"}, "url"),
        ({"model_id": "-1"}, "model_id"),
        ({"model_id": "1" * 40}, "model_id"),
        ({"repo_id": "org/na me"}, "repo_id"),
        ({"repo_id": "org/name", "filename": "/etc/x.gguf"}, "filename"),
        ({"repo_id": "org/name", "filename": "a\\b.gguf"}, "filename"),
        ({"repo_id": "org/name", "revision": "a..b"}, "revision"),
        ({"repo_id": "org/name", "revision": "-x"}, "revision"),
        ({"source": "url", "model_id": "5"}, "url"),
    ],
    ids=str,
)
def test_what_means_nothing_is_refused_by_field(given: dict[str, Any], field: str | None) -> None:
    if field is None:
        assert meant(**given)["repo_id"] == "org/name"
        return
    with pytest.raises(InvalidRequest) as caught:
        meant(**given)
    assert caught.value.detail["field"] == field


def test_messages_hold_no_secrets() -> None:
    for url in ("ftp://example.org/x?token=s3cret", "https://user:s3cret@example.org/x"):
        with pytest.raises(InvalidRequest) as caught:
            meant(url=url)
        assert "s3cret" not in caught.value.message + str(caught.value.detail)


@for_each_case(
    ("url", "shown"),
    [
        ("https://example.org/x", "https://example.org/x"),
        ("https://example.org/x?id=5&download=true", "https://example.org/x?id=5&download=true"),
        ("https://example.org/x?token=abc&id=5", "https://example.org/x?token=***&id=5"),
        (
            "https://e.org/x?X-Amz-Signature=a&X-Amz-Credential=b",
            "https://e.org/x?X-Amz-Signature=***&X-Amz-Credential=***",
        ),
        ("https://e.org/x?sig=a&api_key=b&Policy=c", "https://e.org/x?sig=***&api_key=***&Policy=***"),
        ("https://e.org/x#token", "https://e.org/x"),
    ],
)
def test_secrets_of_addresses_are_hidden(url: str, shown: str) -> None:
    assert hide_secrets(url) == shown


def test_small_words() -> None:
    assert check_address(" https://example.org/x ") == "https://example.org/x"
    assert file_name_of("https://example.org/a/b%20c.gguf?x=1") == "b c.gguf"
    assert file_name_of("https://example.org") == ""
    assert parse_model_and_version("5@6") == ("5", "6")
    assert DownloadSource(source="url").warnings == ()
