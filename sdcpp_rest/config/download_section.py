"""Defines the settings for downloading models, and the kinds of value they take.

Calls no server.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from sdcpp_rest.config.remote_values import header_secret, server_url
from sdcpp_rest.config.sections import Integer, Number, Section


def _endpoint(url: str) -> str:
    return server_url(url, "https://huggingface.co")


def _token(token: SecretStr) -> SecretStr:
    return header_secret(token, "token")


Endpoint = Annotated[str, AfterValidator(_endpoint)]
Token = Annotated[SecretStr, AfterValidator(_token)]


class DownloadsConfig(Section):
    """Models from the internet."""

    concurrent: Integer = Field(default=2, ge=1, le=16, description="Downloads at the same time; more wait.")
    allow_private_hosts: tuple[str, ...] = Field(
        default=(),
        description="Hosts of your own network that may be downloaded from: a name, name:port, *.domain, an address, a "
        "network, or *. All others must have public addresses.",
        examples=[["nas.lan:8000", "10.0.0.0/8"]],
    )
    huggingface_endpoint: Endpoint = Field(
        default="https://huggingface.co", description="Where Hugging Face is, or a mirror of it."
    )
    huggingface_token: Token = Field(
        default=SecretStr(""),
        description="For private and gated repositories; sent to that endpoint only, never shown. Empty: HF_TOKEN of "
        "the environment.",
        examples=["hf_..."],
    )
    civitai_endpoint: Endpoint = Field(default="https://civitai.com", description="Where CivitAI is.")
    civitai_token: Token = Field(
        default=SecretStr(""),
        description="For models that need a login; sent to that endpoint only, never shown. Empty: CIVITAI_TOKEN of "
        "the environment.",
        examples=["a-key-of-your-account"],
    )
    civitai_cards: bool = Field(
        default=False,
        description="Whether `POST /models/{model_type}/{model_name}/card/refresh` may ask CivitAI what a file is: it "
        "sends the file's sum there.",
    )
    connect_timeout_seconds: Number = Field(
        default=15.0, gt=0, le=600, description="How long a connection may take to come about."
    )
    read_timeout_seconds: Number = Field(
        default=30.0, gt=0, le=3600, description="How long a source may be silent before the connection is given up."
    )
    retries: Integer = Field(
        default=8, ge=0, le=1000, description="Attempts in a row that bring nothing before a download fails."
    )
    retry_pause_seconds: Number = Field(
        default=1.0, ge=0, le=60, description="Pause before the next attempt; doubles each time, up to a minute."
    )
    max_bytes: Integer = Field(default=128 * 1024**3, ge=1024, description="Size of a file.")
