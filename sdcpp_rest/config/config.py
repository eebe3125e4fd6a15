"""Combines all sections of settings: where values come from, checks across sections, the example file.

Knows no command line and does not look for the file: `loading` does.
"""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from pydantic import (
    Field,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from sdcpp_rest.config.auth_section import AuthConfig
from sdcpp_rest.config.cluster_section import ClusterConfig
from sdcpp_rest.config.dialect_sections import A1111Config, ComfyUiConfig, InterruptConfig, OpenAiConfig, SwarmConfig
from sdcpp_rest.config.download_section import DownloadsConfig
from sdcpp_rest.config.engines_section import EngineConfig, EnginesConfig
from sdcpp_rest.config.interrogate_section import InterrogateConfig
from sdcpp_rest.config.llm_sections import AssistantConfig, LlmConfig, OllamaConfig
from sdcpp_rest.config.sections import (
    CONFIG_FILE_NAME,
    ENV_CONFIG_FILE,
    ENV_PREFIX,
    ApiConfig,
    EventsConfig,
    HousekeepingConfig,
    LimitsConfig,
    ModelsConfig,
    PathsConfig,
    PreviewConfig,
    QueueConfig,
    Section,
)
from sdcpp_rest.config.server_section import ServerConfig

file_values: ContextVar[Mapping[str, Any] | None] = ContextVar("file_values", default=None)


class Config(BaseSettings):
    """Holds all settings. ``Config(...)`` takes given values, then the environment; `load_config` also the file."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        protected_namespaces=(),
    )

    server: ServerConfig = Field(default_factory=ServerConfig)
    auth: AuthConfig = Field(default_factory=AuthConfig)
    paths: PathsConfig = Field(default_factory=PathsConfig)
    engine: EngineConfig = Field(default_factory=EngineConfig)
    engines: EnginesConfig = Field(default_factory=EnginesConfig)
    cluster: ClusterConfig = Field(default_factory=ClusterConfig)
    models: ModelsConfig = Field(default_factory=ModelsConfig)
    limits: LimitsConfig = Field(default_factory=LimitsConfig)
    preview: PreviewConfig = Field(default_factory=PreviewConfig)
    queue: QueueConfig = Field(default_factory=QueueConfig)
    housekeeping: HousekeepingConfig = Field(default_factory=HousekeepingConfig)
    api: ApiConfig = Field(default_factory=ApiConfig)
    events: EventsConfig = Field(default_factory=EventsConfig)
    downloads: DownloadsConfig = Field(default_factory=DownloadsConfig)
    openai: OpenAiConfig = Field(default_factory=OpenAiConfig)
    interrupt: InterruptConfig = Field(default_factory=InterruptConfig)
    a1111: A1111Config = Field(default_factory=A1111Config)
    swarm: SwarmConfig = Field(default_factory=SwarmConfig)
    comfyui: ComfyUiConfig = Field(default_factory=ComfyUiConfig)
    llm: LlmConfig = Field(default_factory=LlmConfig)
    ollama: OllamaConfig = Field(default_factory=OllamaConfig)
    assistant: AssistantConfig = Field(default_factory=AssistantConfig)
    interrogate: InterrogateConfig = Field(default_factory=InterrogateConfig)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        sources = [init_settings]
        # It looks through the whole environment once for each section.
        if any(name.upper().startswith(ENV_PREFIX) for name in os.environ):
            sources.append(env_settings)
        if values := file_values.get():
            sources.append(InitSettingsSource(settings_cls, init_kwargs=dict(values)))
        return tuple(sources)

    @model_validator(mode="after")
    def _public_needs_keys(self) -> Config:
        if self.server.is_public and not self.auth.is_on and not self.server.allow_public_without_auth:
            raise ValueError(
                f"server.host is {self.server.host!r}, which other machines can reach, and auth.api_keys is empty: set "
                "auth.api_keys, or server.allow_public_without_auth = true (--allow-public-without-auth) if everyone "
                "who can reach this machine may use it"
            )
        return self

    @model_validator(mode="after")
    def _one_way_to_choose_devices(self) -> Config:
        if self.engine.device != "auto" and self.engines.devices != "auto":
            raise ValueError(
                f"engine.device is {self.engine.device!r} and engines.devices is set too: engine.device is for one "
                "engine, engines.devices for several; set one of them"
            )
        return self

    @staticmethod
    def example_toml() -> str:
        """``config.example.toml``: every setting with its description, commented out at its default."""
        lines = [
            "# Settings of sdcpp-rest. Every line that is commented out shows the default, or an (example).",
            f"# Found by: --config FILE, the environment variable {ENV_CONFIG_FILE}, or {CONFIG_FILE_NAME} in the data",
            "# folder. Precedence: command line (--set server.port=9000), then environment variables",
            f"# ({ENV_PREFIX}SERVER__PORT=9000; lists as JSON), then this file, then the defaults.",
        ]
        for section, fields in _sections().items():
            lines += ["", "", *_comment(_doc(section)), f"[{section}]"]
            tables: list[str] = []
            for name, field in fields.items():
                value, is_example = _example_value(field)
                comment = _comment((field.description or "") + (" (example)" if is_example else ""))
                if isinstance(value, dict):
                    tables += ["", *comment, f"# [{section}.{name}]"]
                    tables += [f"# {key} = {_toml(item)}" for key, item in value.items()]
                else:
                    lines += ["", *comment, f"# {name} = {_toml(value)}"]
            lines += tables
        return "\n".join(lines) + "\n"


def known_settings() -> dict[str, FieldInfo]:
    """Every setting by its full path (``server.port``), in the order of the documentation."""
    return {f"{section}.{name}": field for section, fields in _sections().items() for name, field in fields.items()}


def _sections() -> dict[str, dict[str, FieldInfo]]:
    return {name: _section_class(field).model_fields for name, field in Config.model_fields.items()}


def _section_class(field: FieldInfo) -> type[Section]:
    assert isinstance(field.annotation, type)
    assert issubclass(field.annotation, Section)
    return field.annotation


def _doc(section: str) -> str:
    return " ".join((_section_class(Config.model_fields[section]).__doc__ or "").split())


def _example_value(field: FieldInfo) -> tuple[Any, bool]:
    """What the example file shows: the default, or an example where the default is empty or depends on the machine."""
    if field.examples:
        return field.examples[0], True
    return field.get_default(call_default_factory=True), False


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, 116)]


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {_toml(item)}" for name, item in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)  # JSON's scalars and lists are TOML's
