"""What SwarmUI's calls read and answer with, as far as OpenAPI describes it. Knows no request."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from sdcpp_rest.routes.http.openapi import Answer
from sdcpp_rest.routes.http.wire_models import Wire


class SwarmCall(Wire):
    """The body of a call."""

    model_config = ConfigDict(extra="allow")

    session_id: str = Field("", description="From GetNewSession; may be the header X-Session-ID instead.")


class SwarmRoute(Wire):
    route: str = Field(description="A route of SwarmUI's API.", examples=["GetNewSession"])


class SwarmSession(Answer):
    """A session, for the calls to come."""

    session_id: str
    user_id: str
    output_append_user: bool
    version: str
    server_id: str
    permissions: list[str]


class SwarmCounts(BaseModel):
    """Pictures of one session."""

    waiting_gens: int = Field(description="Not finished.")
    loading_models: int
    waiting_backends: int = Field(description="Waiting for the engine.")
    live_gens: int = Field(description="Being drawn.")


class SwarmBackendStatus(BaseModel):
    """How the engine stands."""

    model_config = ConfigDict(populate_by_name=True)

    status: str
    kind: str = Field(alias="class")
    message: str
    any_loading: bool


class SwarmStatus(Answer):
    """What a session's pictures are doing, and how the engine stands."""

    status: SwarmCounts
    backend_status: SwarmBackendStatus
    supported_features: list[str]


class SwarmSuccess(Answer):
    """It was done."""

    success: bool


class SwarmObject(Answer):
    """An object whose names are not fixed, or too many to be listed here; see SwarmUI's own documents."""

    model_config = ConfigDict(extra="allow")


class SwarmPictures(Answer):
    """The pictures of a call."""

    images: list[str] = Field(description="Paths below the server's root, or data URLs where none is kept.")


class SwarmKeptPicture(BaseModel):
    """A picture that was kept."""

    image: str
    batch_index: str
    request_id: str
    metadata: str


class SwarmKeptPictures(Answer):
    """The pictures that were kept."""

    images: list[SwarmKeptPicture]


class SwarmStarred(Answer):
    """Whether a picture has a star now."""

    new_state: bool


class SwarmPicturePath(Wire):
    path: str = Field(
        description="As answers name it, behind the user.", examples=["local/raw/2026-11-26/1830000-x.png"]
    )


class SwarmFreed(Answer):
    """How many backends gave memory back."""

    result: bool
    count: int
