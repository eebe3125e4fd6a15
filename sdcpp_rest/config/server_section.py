"""Describes the server's sockets in the configuration: where it listens, who may call, which proxies are before it."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from sdcpp_rest.config.sections import Integer, Number, Section, refuse_bool
from sdcpp_rest.config.web_names import host_pattern, network, origin_pattern, public_url


def _host(host: str) -> str:
    host = host.strip().removeprefix("[").removesuffix("]")
    if not host or any(character in host for character in " /\t\n@") or host.count(":") == 1:
        raise ValueError("Input should be an address or a host name, without scheme and port")
    return host


def _readable(read: Callable[[str], object]) -> Callable[[str], str]:
    """Keeps the text as it was written, if ``read`` understands it."""

    def check(text: str) -> str:
        read(text)
        return text.strip()

    return check


def _maybe_url(text: str) -> str:
    return _readable(public_url)(text) if text.strip() else ""


Port = Annotated[int, BeforeValidator(refuse_bool), Field(ge=0, le=65535)]
Host = Annotated[str, AfterValidator(_host)]
HostPatternText = Annotated[str, AfterValidator(_readable(host_pattern))]
OriginPatternText = Annotated[str, AfterValidator(_readable(origin_pattern))]
NetworkText = Annotated[str, AfterValidator(_readable(network))]
PublicUrlText = Annotated[str, AfterValidator(_maybe_url)]


class ServerConfig(Section):
    """Where and how the server listens."""

    host: Host = Field(
        default="127.0.0.1",
        description="Address to listen on. One that others can reach needs auth.api_keys or allow_public_without_auth.",
    )
    port: Port = Field(default=8080, description="Port for HTTP, and for WebSockets under /ws. 0: a free one.")
    ws_port: Port = Field(default=8081, description="A second port, for clients that expect WebSockets apart. 0: none.")
    ipv6_loopback: bool = Field(
        default=True,
        description="With host 127.0.0.1 or localhost, listen on the same ports of ::1 too: on many machines that is "
        "what localhost means.",
    )
    allowed_hosts: tuple[HostPatternText, ...] = Field(
        default=(),
        description="Host names under which the server may be called, besides loopback, the bound address, the host of "
        "public_url, and names that the public DNS cannot give away (*.localhost, *.local, *.internal): a name, "
        "name:port, *.domain, or *.",
        examples=[["pictures.example.org"]],
    )
    cors_origins: tuple[OriginPatternText, ...] = Field(
        default=(),
        description="Web origins, besides loopback and its own, whose pages may call the server: scheme://host, with "
        'its port if it has one, https://*.example.org, "null" (pages from files, sandboxed frames), or "*" (all).',
        examples=[["https://pictures.example.org"]],
    )
    public_url: PublicUrlText = Field(
        default="",
        description="The address under which callers know the server, with its path, if it is below one; links lead "
        "there. Empty: as each caller sees it.",
        examples=["https://pictures.example.org"],
    )
    trusted_proxies: tuple[NetworkText, ...] = Field(
        default=("127.0.0.0/8", "::1/128"),
        description="Addresses and networks of proxies that are believed when they say who calls, and how: "
        "X-Forwarded-For, -Proto, -Host, -Port, -Prefix, and Forwarded. Empty: none.",
    )
    access_log: bool = Field(
        default=False,
        description="A line for each request in the log: method, path, status, milliseconds, caller. Polls are summed "
        "up.",
    )
    log_max_bytes: Integer = Field(
        default=10 * 1024 * 1024,
        ge=65_536,
        description="Size at which server.log becomes server.log.1 and a new one is begun.",
    )
    keep_alive_seconds: Integer = Field(
        default=75, ge=1, le=3600, description="How long an idle connection stays open."
    )
    blocking_keep_alive_seconds: Number = Field(
        default=0.0,
        ge=0,
        le=3600,
        description="Begin the answer of a call that waits after so long, and send white space before its JSON as "
        "often, for clients and proxies that give up on silence. The status is 200 then, also of an error. 0: off.",
    )
    blocking_threads: Integer = Field(
        default=128,
        ge=1,
        le=4096,
        description="Calls that may wait for a picture or a model at the same time; more get a 503.",
    )
    short_threads: Integer = Field(default=16, ge=1, le=1024, description="Threads for all calls that do not wait.")
    allow_public_without_auth: bool = Field(
        default=False, description="Listen on a public address without API keys: everyone who can reach it may use it."
    )

    @property
    def is_public(self) -> bool:
        """Whether ``host`` can be reached from other machines."""
        if self.host.lower() == "localhost":
            return False
        try:
            return not ipaddress.ip_address(self.host.partition("%")[0]).is_loopback
        except ValueError:
            return True

    @model_validator(mode="after")
    def _two_ports(self) -> ServerConfig:
        if self.ws_port and self.ws_port == self.port:
            raise ValueError(
                f"ws_port is {self.ws_port}, as is port: choose another one, or 0 for WebSockets under /ws of port only"
            )
        return self
