"""Builds the language models, and what describes pictures.

As `core_groups` builds those below them.
"""

from __future__ import annotations

from dataclasses import dataclass

from sdcpp_rest.config import Config
from sdcpp_rest.groups.core_groups import JobServices, ModelServices, SettingsServices
from sdcpp_rest.services.describing.interrogation import Interrogation
from sdcpp_rest.services.language.assistant import Assistant
from sdcpp_rest.services.language.assistant_facts import ServerFacts
from sdcpp_rest.services.language.llm_connection import OpenCalls
from sdcpp_rest.services.language.llm_settings import LlmSettings
from sdcpp_rest.services.language.prompt_enhancer import PromptEnhancer
from sdcpp_rest.services.server_status import ServerStatus
from sdcpp_rest.store.database import Database
from sdcpp_rest.store.history_store import Conversation, EnhancementHistory


@dataclass(frozen=True)
class LanguageServices:
    """Language models, and what describes pictures. ``lines``: their connections, to be cut when the server stops."""

    lines: OpenCalls
    prompt_enhancer: PromptEnhancer
    assistant: Assistant
    interrogation: Interrogation


def build_language(
    config: Config,
    database: Database,
    settings: SettingsServices,
    jobs: JobServices,
    models: ModelServices,
    status: ServerStatus,
) -> LanguageServices:
    """Build the prompt enhancer, the assistant and the interrogation, over one set of connections."""
    lines = OpenCalls()
    enhancer = PromptEnhancer(
        LlmSettings(settings.store, "llm.ollama", config.ollama, config.llm),
        EnhancementHistory(database),
        lines,
        max_characters=config.limits.prompt_characters,
    )
    assistant = Assistant(
        LlmSettings(settings.store, "llm.assistant", config.assistant, config.llm),
        Conversation(database),
        lines,
        ServerFacts(
            status.health,
            status.options,
            models.library,
            jobs.queue,
            engines=lambda: status.engines.describe()["engines"],
        ),
        context_tokens=config.assistant.context_tokens,
    )
    interrogation = Interrogation(config.interrogate, config.paths.models_dir, enhancer.settings, lines)
    return LanguageServices(lines, enhancer, assistant, interrogation)
