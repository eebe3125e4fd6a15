"""Speaks with the language models behind the server: prompt enhancement and the assistant."""

from __future__ import annotations

from typing import Any

from typing_extensions import Unpack

from sdcpp_rest.client.calls import Call, TellingCall
from sdcpp_rest.client.chat_stream import ChatPiece, follow_chat
from sdcpp_rest.client.steps import Request, Telling
from sdcpp_rest.client.wire.language import (
    AssistantModel,
    AssistantSettingsBody,
    AssistantSettingsChanged,
    AssistantSettingsShown,
    AssistantStatus,
    ChatAnswer,
    ConversationShown,
    Done,
    EnhanceBody,
    Enhanced,
    EnhancementShown,
    EnhancerStatus,
    HistoryQuery,
    HistoryShown,
    LanguageModels,
    LlmSettingsBody,
    LlmSettingsChanged,
    LlmSettingsShown,
)


class LanguageCalls:
    """Asks the language models, and changes which ones they are."""

    @Call
    def enhance_prompt(self, **fields: Unpack[EnhanceBody]) -> Request[Enhanced]:
        """Make a prompt better."""
        return Request(Enhanced, "POST", "/ollama/enhance", body=fields, is_long=True)

    @Call
    def show_enhancements(self, **query: Unpack[HistoryQuery]) -> Request[HistoryShown]:
        """List the prompts that were made better, newest first."""
        return Request(HistoryShown, "GET", "/ollama/history", query=query)

    @Call
    def clear_enhancements(self) -> Request[Done]:
        """Forget the prompts that were made better."""
        return Request(Done, "DELETE", "/ollama/history")

    @Call
    def show_enhancement(self, entry_id: str) -> Request[EnhancementShown]:
        """Show one of them."""
        return Request(EnhancementShown, "GET", "/ollama/history/{entry_id}", {"entry_id": entry_id})

    @Call
    def delete_enhancement(self, entry_id: str) -> Request[Done]:
        """Forget one of them."""
        return Request(Done, "DELETE", "/ollama/history/{entry_id}", {"entry_id": entry_id})

    @Call
    def show_enhancer_status(self) -> Request[EnhancerStatus]:
        """Tell whether the enhancer's language model answers."""
        return Request(EnhancerStatus, "GET", "/ollama/status", is_long=True)

    @Call
    def list_language_models(self) -> Request[LanguageModels]:
        """List what the enhancer's server has."""
        return Request(LanguageModels, "GET", "/ollama/models", is_long=True)

    @Call
    def show_enhancer_settings(self) -> Request[LlmSettingsShown]:
        """Show which language model makes prompts better, and how."""
        return Request(LlmSettingsShown, "GET", "/ollama/settings")

    @Call
    def change_enhancer_settings(self, **fields: Unpack[LlmSettingsBody]) -> Request[LlmSettingsChanged]:
        """Choose which language model makes prompts better, and how."""
        return Request(LlmSettingsChanged, "PUT", "/ollama/settings", body=fields, is_long=True)

    @Call
    def chat(self, message: str, context: dict[str, Any] | None = None) -> Request[ChatAnswer]:
        """Say something to the assistant, and wait for all that it says."""
        body = {"message": message, "context": context}
        return Request(ChatAnswer, "POST", "/assistant/chat", body=body, is_long=True)

    @TellingCall
    def stream_chat(self, message: str, context: dict[str, Any] | None = None) -> Telling[ChatPiece]:
        """Say something to the assistant, and get its answer as it comes; the last piece has the whole."""
        body = {"message": message, "context": context}
        return follow_chat(Request(str, "POST", "/assistant/chat/stream", body=body, is_long=True))

    @Call
    def show_conversation(self) -> Request[ConversationShown]:
        """Show the conversation with the assistant."""
        return Request(ConversationShown, "GET", "/assistant/history")

    @Call
    def clear_conversation(self) -> Request[Done]:
        """Forget the conversation with the assistant."""
        return Request(Done, "DELETE", "/assistant/history")

    @Call
    def show_assistant_status(self) -> Request[AssistantStatus]:
        """Tell whether the assistant's language model answers."""
        return Request(AssistantStatus, "GET", "/assistant/status", is_long=True)

    @Call
    def show_assistant_model(self, model: str | None = None) -> Request[AssistantModel]:
        """Describe the assistant's language model, or another one."""
        return Request(AssistantModel, "GET", "/assistant/model-info", query={"model": model}, is_long=True)

    @Call
    def show_assistant_settings(self) -> Request[AssistantSettingsShown]:
        """Show which language model the assistant uses, and how."""
        return Request(AssistantSettingsShown, "GET", "/assistant/settings")

    @Call
    def change_assistant_settings(self, **fields: Unpack[AssistantSettingsBody]) -> Request[AssistantSettingsChanged]:
        """Choose which language model the assistant uses, and how."""
        return Request(AssistantSettingsChanged, "PUT", "/assistant/settings", body=fields, is_long=True)
