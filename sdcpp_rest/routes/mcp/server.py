"""Builds the server that speaks the protocol, with the official SDK, over our tools and resources.

The only module of the server that imports the SDK: half a second and 28 MB that nobody pays who calls no tool. It is
imported on a thread, by the first request.
"""

from __future__ import annotations

import logging
from typing import Any

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from mcp.shared.exceptions import MCPError
from starlette.types import Scope

from sdcpp_rest.core.api_keys import check_scope
from sdcpp_rest.core.changes import begin_noting
from sdcpp_rest.errors import SdcppRestError
from sdcpp_rest.routes.http.answers import internal_error, shorten
from sdcpp_rest.routes.mcp.calls import AgentCall, AgentCaller, AgentThreads, Report
from sdcpp_rest.routes.mcp.errors import to_refusal
from sdcpp_rest.routes.mcp.parts import ServerParts
from sdcpp_rest.routes.mcp.resources import RESOURCES, TEMPLATE, Resources
from sdcpp_rest.routes.mcp.tools import INSTRUCTIONS, TOOLS
from sdcpp_rest.routes.mcp.views import AgentTools
from sdcpp_rest.routes.mcp.wire import write_schema

Context = ServerRequestContext[Any, Any]

_SCOPES = {tool.name: tool.scope for tool in TOOLS}

# A line for each session that begins or ends is no news.
logging.getLogger("mcp").setLevel(logging.WARNING)


def build_sessions(parts: ServerParts, threads: AgentThreads, most_sessions: int) -> StreamableHTTPSessionManager:
    """What answers requests of both protocols, once its ``run`` was entered."""
    answers = _Answers(parts, threads)
    server = Server(
        "sdcpp-rest",
        version=parts.version,
        title="sdcpp-rest",
        instructions=INSTRUCTIONS,
        get_tool_input_schema={tool.name: write_schema(tool.arguments) for tool in TOOLS}.get,
        on_list_tools=answers.list_tools,
        on_call_tool=answers.call_tool,
        on_list_resources=answers.list_resources,
        on_list_resource_templates=answers.list_templates,
        on_read_resource=answers.read_resource,
    )
    return StreamableHTTPSessionManager(
        server,
        # Host and Origin were checked, by rules that can be configured.
        security_settings=TransportSecuritySettings(enable_dns_rebinding_protection=False),
        max_request_body_size=parts.config.limits.body_bytes,
        max_sessions=most_sessions,
    )


class _Answers:
    """Answers the protocol's requests."""

    def __init__(self, parts: ServerParts, threads: AgentThreads) -> None:
        self._parts = parts
        self._threads = threads
        self._tools = AgentTools(parts, threads)
        self._resources = Resources(parts)
        self._listed = types.ListToolsResult.model_validate({"tools": [tool.describe() for tool in TOOLS]})

    async def list_tools(self, context: Context, params: Any) -> types.ListToolsResult:
        return self._listed.model_copy()

    async def call_tool(self, context: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        """Errors are results, which the model reads; only a tool that does not exist is an error of the protocol."""
        tool = self._tools.by_name.get(params.name)
        if tool is None:
            names = ", ".join(self._tools.by_name)
            raise MCPError(types.INVALID_PARAMS, f"There is no tool {shorten(params.name)!r}; there are {names}")
        call = AgentCall(params.arguments or {}, _caller_of(context), _reporter(context))
        changes = begin_noting()
        try:
            check_scope(call.caller.key, _SCOPES[params.name])
            result = await tool(call)
        except SdcppRestError as error:
            result = to_refusal(error, self._parts.redact_paths)
        except Exception as error:  # a fault of ours: the model gets its number, the log the rest
            result = to_refusal(internal_error(error, f"tool {params.name}"), self._parts.redact_paths)
        if changes:
            caller, record = call.caller, self._parts.audit.record
            await self._threads.run(record, f"tool {params.name}", changes, key=caller.key, address=caller.address)
        return types.CallToolResult.model_validate(result)

    async def list_resources(self, context: Context, params: Any) -> types.ListResourcesResult:
        listed = [
            {"uri": uri, "name": name, "description": words, "mimeType": "application/json"}
            for uri, name, words in RESOURCES
        ]
        return types.ListResourcesResult.model_validate({"resources": listed})

    async def list_templates(self, context: Context, params: Any) -> types.ListResourceTemplatesResult:
        uri, name, words = TEMPLATE
        listed = [{"uriTemplate": uri, "name": name, "description": words}]
        return types.ListResourceTemplatesResult.model_validate({"resourceTemplates": listed})

    async def read_resource(
        self, context: Context, params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        try:
            found = await self._threads.run(self._resources.read, str(params.uri), _caller_of(context))
        except SdcppRestError as error:
            message = self._parts.redact_paths(error.message)
            raise MCPError(types.INVALID_PARAMS, message, {"uri": str(params.uri)}) from None
        except Exception as error:  # as above
            fault = internal_error(error, f"resource {shorten(str(params.uri))!r}")
            raise MCPError(types.INTERNAL_ERROR, fault.message, fault.detail) from None
        return types.ReadResourceResult.model_validate({"contents": [found]})


def _caller_of(context: Context) -> AgentCaller:
    assert context.request is not None, "every request comes over HTTP"
    scope: Scope = context.request.scope
    return AgentCaller.of(scope)


def _reporter(context: Context) -> Report | None:
    if context.meta is None or context.meta.get("progress_token") is None:
        return None
    return context.session.report_progress
