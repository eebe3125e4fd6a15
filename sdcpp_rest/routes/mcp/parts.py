"""Names what the tools need of the server."""

from __future__ import annotations

from dataclasses import dataclass

from sdcpp_rest.config import Config
from sdcpp_rest.groups.core_groups import JobServices, ModelServices
from sdcpp_rest.groups.submission_group import SubmissionServices
from sdcpp_rest.services.audit_log import AuditLog
from sdcpp_rest.services.downloads.picture_fetching import PictureFetching
from sdcpp_rest.services.path_redaction import PathRedaction
from sdcpp_rest.services.server_status import ServerStatus


@dataclass(frozen=True)
class ServerParts:
    """The services behind the tools. ``fetching`` is this dialect's own, to be closed with it."""

    config: Config
    jobs: JobServices
    models: ModelServices
    submission: SubmissionServices
    status: ServerStatus
    redact_paths: PathRedaction
    version: str
    audit: AuditLog
    fetching: PictureFetching
