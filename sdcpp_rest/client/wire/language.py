"""Types the words of the wire about language models: prompt enhancement and the assistant.

Made by `make docs`; edits are overwritten.
"""

from __future__ import annotations

from typing import Any, Literal

from typing_extensions import NotRequired, Required, TypedDict


class ActionShown(TypedDict):
    """Something that can be done as it stands: its parameters were checked."""

    type: str
    parameters: dict[str, Any]
    request: NotRequired[RequestShown]


class AssistantModel(TypedDict):
    """The assistant's language model, as its server describes it; `null` where it does not."""

    model: str
    api: Literal["ollama", "openai"]
    available: bool
    family: str | None
    parameter_size: str | None
    quantization: str | None
    context_length: int | None
    capabilities: list[str] | None
    supports_tools: bool | None
    supports_vision: bool | None
    has_vision: bool


class AssistantSettingsChanged(TypedDict):
    """The answer of `PUT /assistant/settings`."""

    success: Literal[True]
    settings: AssistantSettingsChosen
    warnings: NotRequired[list[str]]


class AssistantStatus(TypedDict):
    """The answer of `GET /assistant/status`."""

    enabled: bool
    connected: bool
    base_url: str
    endpoint: str
    model: str
    timeout_seconds: int
    history_count: int
    available_models: list[str]
    proactive_suggestions: bool


class ChatAnswer(TypedDict):
    """What the assistant says, and what it proposes to do."""

    success: Literal[True]
    message: str
    actions: list[ActionShown]
    warnings: NotRequired[list[str]]


class ChatBody(TypedDict, total=False):
    """What the user says."""

    message: Required[str]
    context: dict[str, Any]


class ConversationShown(TypedDict):
    """The conversation so far, oldest first."""

    messages: list[SaidShown]
    count: int


class Done(TypedDict):
    """The answer of `DELETE /assistant/history`."""

    success: Literal[True]


class EnhanceBody(TypedDict, total=False):
    """Which prompt to make better."""

    prompt: Required[str]
    system_prompt: str
    options: EnhanceOptionsBody


class EnhanceOptionsBody(TypedDict, total=False):
    """How the model answers; what is left out is its server's choice."""

    model: str
    temperature: float
    top_p: float
    seed: int
    max_tokens: int


class Enhanced(TypedDict):
    """A better prompt."""

    success: Literal[True]
    id: str
    original_prompt: str
    enhanced_prompt: str
    model_used: str
    created_at: int
    warnings: NotRequired[list[str]]


class EnhancementShown(TypedDict):
    """An attempt to make a prompt better."""

    id: str
    original_prompt: str
    enhanced_prompt: str
    model_used: str
    created_at: int
    success: bool
    error_message: str


class EnhancerStatus(TypedDict):
    """The answer of `GET /ollama/status`."""

    enabled: bool
    connected: bool
    base_url: str
    model: str
    max_history: int
    history_count: int


class HistoryQuery(TypedDict, total=False):
    """The query of `GET /ollama/history`."""

    limit: int
    offset: int


class HistoryShown(TypedDict):
    """Attempts, newest first."""

    total_count: int
    items: list[EnhancementShown]


class LanguageModels(TypedDict):
    """The models that the language model server has."""

    models: list[str]


class LlmSettingsBody(TypedDict, total=False):
    """What to change; what is left out stays as it is."""

    enabled: bool
    api: Literal["ollama", "openai"]
    base_url: str
    model: str
    timeout_seconds: int
    max_history: int
    system_prompt: str
    api_key: str


class LlmSettingsChanged(TypedDict):
    """The answer of `PUT /ollama/settings`."""

    success: Literal[True]
    settings: LlmSettingsChosen
    warnings: NotRequired[list[str]]


class LlmSettingsChosen(TypedDict):
    """Which language model is used, and how."""

    enabled: bool
    base_url: str
    model: str
    timeout_seconds: int
    max_history: int
    api: Literal["ollama", "openai"]
    system_prompt: str


class ModelQuery(TypedDict, total=False):
    """The query of `GET /assistant/model-info`."""

    model: str


class RequestShown(TypedDict):
    """The request that carries an action out."""

    method: Literal["GET", "POST", "PUT", "DELETE"]
    url: str
    body: NotRequired[dict[str, Any]]


class SaidShown(TypedDict):
    """A part of `ConversationShown`."""

    role: Literal["user", "assistant"]
    content: str
    timestamp: int
    actions: NotRequired[list[ActionShown]]


class AssistantSettingsBody(LlmSettingsBody, total=False):
    """What to change; what is left out stays as it is."""

    endpoint: str
    temperature: float
    max_tokens: int
    max_history_turns: int
    proactive_suggestions: bool
    has_api_key: bool
    default_system_prompt: str


class AssistantSettingsChosen(LlmSettingsChosen):
    """Which language model is used, and how."""

    endpoint: str
    temperature: float
    max_tokens: int
    max_history_turns: int
    proactive_suggestions: bool
    default_system_prompt: str
    has_api_key: bool


class LlmSettingsShown(LlmSettingsChosen):
    """The same, and whether there is a key."""

    api_key: str


class AssistantSettingsShown(AssistantSettingsChosen):
    """The same, and whether there is a key."""

    api_key: str
