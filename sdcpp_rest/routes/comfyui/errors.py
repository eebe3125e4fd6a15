"""How ComfyUI says that something went wrong: an error for the whole, and one for each node and input.

Knows errors, and no request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from sdcpp_rest.errors import InvalidRequest, SdcppRestError
from sdcpp_rest.routes.comfyui.node_types import NodeFault
from sdcpp_rest.routes.http.answers import shorten, show_value
from sdcpp_rest.routes.http.dialect import ErrorShape
from sdcpp_rest.routes.http.openapi import Answer

_MOST_SHOWN = 20


class ComfyFault(Answer):
    """What is wrong."""

    type: str = Field(description="A word for programs.", examples=["value_not_in_list", "missing_node_type"])
    message: str
    details: str
    extra_info: dict[str, Any]


class ComfyNodeFaults(Answer):
    """What is wrong with one node."""

    errors: list[ComfyFault]
    dependent_outputs: list[str] = Field(description="Output nodes that need it.")
    class_type: str


class ComfyError(Answer):
    """An error of ComfyUI's API."""

    error: ComfyFault
    node_errors: dict[str, ComfyNodeFaults] = Field(description="By the node's id.")


class GraphRefused(InvalidRequest):
    """A graph that cannot be drawn: ``type`` and ``node_errors`` as ComfyUI has them. Nothing of it is queued."""

    code = "invalid_prompt"

    def __init__(self, type: str, message: str, details: str = "", **more: Any) -> None:
        super().__init__(message)
        self.type = type
        self.details = details
        self.extra_info = more
        self.node_errors: dict[str, Any] = {}


def comfy_error(error: SdcppRestError) -> dict[str, Any]:
    """The body of an error."""
    if isinstance(error, GraphRefused):
        fault = fault_object(error.type, error.message, error.details, error.extra_info)
        return {"error": fault, "node_errors": error.node_errors}
    info: dict[str, Any] = {name: error.detail[name] for name in ("field", "value", "error_id") if name in error.detail}
    return {"error": fault_object(error.code, error.message, "", info), "node_errors": {}}


def fault_object(type: str, message: str, details: str, extra_info: Mapping[str, Any]) -> dict[str, Any]:
    """One fault, in the four words that ComfyUI has for it."""
    return {"type": type, "message": message, "details": details, "extra_info": dict(extra_info)}


def node_fault_object(fault: NodeFault) -> dict[str, Any]:
    """What is wrong with a node, as it is told of the node."""
    info: dict[str, Any] = {}
    if fault.input_name:
        info = {"input_name": fault.input_name, "received_value": show_value(fault.received)}
    return fault_object(fault.type, fault.message, fault.details, info)


def refuse_nodes(
    faults: Mapping[str, list[NodeFault]], classes: Mapping[str, str], dependents: Mapping[str, list[str]]
) -> GraphRefused:
    """The refusal of a graph with these faulty nodes. ``dependents``: the output nodes that need a node."""
    told = [
        f"{classes[node]} #{shorten(node)}: {fault.details or fault.message}"
        for node, found in faults.items()
        for fault in found
    ]
    refused = GraphRefused(
        "prompt_outputs_failed_validation", "Prompt outputs failed validation", "\n".join(told[:_MOST_SHOWN])
    )
    refused.node_errors = {
        shorten(node): {
            "errors": [node_fault_object(fault) for fault in found],
            "dependent_outputs": dependents.get(node, []),
            "class_type": classes[node],
        }
        for node, found in faults.items()
    }
    return refused


COMFY_ERROR = ErrorShape("comfyui", ComfyError, comfy_error)
