"""MCP, whole: what `web.app` registers."""

from __future__ import annotations

from sdcpp_rest.routes.http.dialect import Dialect
from sdcpp_rest.routes.http.scopes import needs
from sdcpp_rest.routes.mcp.mount import PATH, McpMount
from sdcpp_rest.routes.mcp.parts import ServerParts
from sdcpp_rest.services.downloads.picture_fetching import PictureFetching

MCP = Dialect(
    "mcp",
    mounts={
        # Tools that do more than look need more (`routes.mcp.tools`).
        PATH: needs("read")(
            lambda running: McpMount(
                ServerParts(
                    config=running.config,
                    jobs=running.jobs,
                    models=running.models,
                    submission=running.submission,
                    status=running.status,
                    redact_paths=running.redact_paths,
                    version=running.version,
                    audit=running.audit,
                    fetching=PictureFetching(running.config.downloads),
                )
            )
        )
    },
)
