"""How the process was started: every setting with its default, limits and description; must not know any other room
but errors.

Precedence: command line > environment (``SDCPP_REST__SERVER__PORT``) > TOML file > default. What users change while the
server runs is not here but in the settings store.
"""

from __future__ import annotations

from sdcpp_rest.config.config import Config, known_settings
from sdcpp_rest.config.download_section import DownloadsConfig
from sdcpp_rest.config.interrogate_section import InterrogateConfig
from sdcpp_rest.config.llm_sections import AssistantConfig, LanguageModelConfig, LlmConfig, OllamaConfig, llm_url
from sdcpp_rest.config.loading import load_config
from sdcpp_rest.config.sections import (
    ENV_PREFIX,
    TYPE_FOLDERS,
    ConfigError,
    HousekeepingConfig,
    LimitsConfig,
    PreviewConfig,
)

__all__ = [
    "ENV_PREFIX",
    "TYPE_FOLDERS",
    "AssistantConfig",
    "Config",
    "ConfigError",
    "DownloadsConfig",
    "HousekeepingConfig",
    "InterrogateConfig",
    "LanguageModelConfig",
    "LimitsConfig",
    "LlmConfig",
    "OllamaConfig",
    "PreviewConfig",
    "known_settings",
    "llm_url",
    "load_config",
]
