"""Reads a graph in ComfyUI's API format: its nodes, their order, and what flows along their links.

Nothing here recurses: a graph may be one long chain. Knows the classes by `nodes`, and nothing of what is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sdcpp_rest.config import LimitsConfig
from sdcpp_rest.core.catalog import ModelFile
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.comfyui.errors import GraphRefused, refuse_nodes
from sdcpp_rest.routes.comfyui.node_types import SCALARS, Input, NodeFault, Surroundings
from sdcpp_rest.routes.comfyui.nodes import BY_NAME
from sdcpp_rest.routes.http.answers import shorten, show_value

MOST_NODES = 1_000
_SHOWN_CHOICES = 50
_LIKE = {("INT", "FLOAT"), ("STRING", "COMBO"), ("INT", "BOOLEAN")}
"""Types that may stand for another one."""

FindChoice = Callable[[str, str], "ModelFile | str"]
"""What a word of one of the server's lists means. Raises LookupError with the nearest words of the list."""


@dataclass(frozen=True)
class Node:
    """One node as it was sent."""

    id: str
    class_type: str
    inputs: Mapping[str, Any]


def read_graph(sent: object) -> dict[str, Node]:
    """The nodes of a graph. Raises GraphRefused for what is none, and for classes that are not here."""
    if not isinstance(sent, dict):
        raise GraphRefused("no_prompt", "No prompt provided", "prompt must be an object of nodes in the API's format")
    if isinstance(sent.get("nodes"), list):
        raise GraphRefused(
            "invalid_prompt", "Invalid prompt", "This is a workflow of the page; export it in the API's format"
        )
    if len(sent) > MOST_NODES:
        raise GraphRefused(
            "invalid_prompt", "Invalid prompt", f"The graph has {len(sent)} nodes; at most {MOST_NODES} are allowed"
        )
    unknown: dict[str, list[NodeFault]] = {}
    graph = {}
    for node_id, node in sent.items():
        class_type = node.get("class_type") if isinstance(node, dict) else None
        inputs = node.get("inputs", {}) if isinstance(node, dict) else None
        if not isinstance(class_type, str) or not isinstance(inputs, dict):
            raise GraphRefused(
                "missing_node_type" if isinstance(inputs, dict) else "invalid_prompt",
                "Cannot execute because a node is missing the class_type property."
                if isinstance(inputs, dict)
                else "Cannot execute because a node has no object of inputs.",
                f"Node ID '#{shorten(node_id)}'",
                node_id=shorten(node_id),
            )
        if class_type not in BY_NAME:
            named = f"Node {shorten(class_type)!r} is not one of those that work here (GET /object_info lists them)"
            unknown[node_id] = [NodeFault("missing_node_type", "Node not found", named)]
        graph[node_id] = Node(node_id, class_type, inputs)
    if unknown:
        refused = refuse_nodes(unknown, {node_id: shorten(graph[node_id].class_type) for node_id in unknown}, {})
        refused.type = "missing_node_type"
        names = sorted({shorten(graph[node_id].class_type) for node_id in unknown})
        refused.message = f"Node types that are not found here: {', '.join(names[:_SHOWN_CHOICES])}"
        raise refused
    return graph


def find_outputs(graph: Mapping[str, Node], wanted: object = None) -> list[str]:
    """The output nodes, or those of them that are ``wanted``. Raises GraphRefused where there is none."""
    if wanted is not None and not isinstance(wanted, list):
        raise GraphRefused("invalid_prompt", "Invalid prompt", "partial_execution_targets must be a list of node ids")
    outputs = [
        node.id for node in graph.values() if BY_NAME[node.class_type].is_output and (not wanted or node.id in wanted)
    ]
    if not outputs:
        raise GraphRefused("prompt_no_outputs", "Prompt has no outputs", "No node saves, previews or sends a picture")
    return outputs


def order_nodes(graph: Mapping[str, Node], outputs: Iterable[str]) -> list[str]:
    """The nodes that ``outputs`` need, each after those that it needs itself. Raises GraphRefused for a cycle."""
    ordered: list[str] = []
    done: set[str] = set()
    for output in outputs:
        path: dict[str, None] = {}
        waiting = [(output, False)]
        while waiting:
            node_id, is_left = waiting.pop()
            if is_left:
                path.pop(node_id)
                done.add(node_id)
                ordered.append(node_id)
            elif node_id in path:
                raise _refuse_cycle(graph, [*path][[*path].index(node_id) :])
            elif node_id not in done:
                path[node_id] = None
                waiting.append((node_id, True))
                waiting += [(source, False) for source in _sources(graph, graph[node_id])]
    return ordered


def _sources(graph: Mapping[str, Node], node: Node) -> list[str]:
    """The nodes whose outputs a node takes; links that are none are left to `evaluate_graph`."""
    given = [node.inputs.get(one.name) for one in BY_NAME[node.class_type].inputs]
    ids = [_link_source(value) for value in given if isinstance(value, list)]
    return [node_id for node_id in ids if node_id is not None and node_id in graph]


def _link_source(value: Sequence[Any]) -> str | None:
    """The node that a link begins at: ``[node_id, output_index]``."""
    if len(value) != 2 or not isinstance(value[0], str | int) or isinstance(value[0], bool):
        return None
    return str(value[0]) if isinstance(value[1], int) and not isinstance(value[1], bool) else None


def _refuse_cycle(graph: Mapping[str, Node], cycle: list[str]) -> GraphRefused:
    shown = " -> ".join(shorten(node_id) for node_id in [*cycle[:10], cycle[0]])
    faults = {node_id: [NodeFault("dependency_cycle", "Dependency cycle detected", shown)] for node_id in cycle[:10]}
    refused = refuse_nodes(faults, {node_id: graph[node_id].class_type for node_id in faults}, {})
    refused.type, refused.message = "dependency_cycle", "Dependency cycle detected"
    refused.details = shown
    return refused


class Evaluation:
    """Evaluates the nodes of a graph in order, and gathers what is wrong with each."""

    def __init__(
        self, graph: Mapping[str, Node], around: Surroundings, limits: LimitsConfig, find_choice: FindChoice
    ) -> None:
        self._graph = graph
        self._around = around
        self._limits = limits
        self._find_choice = find_choice
        self._values: dict[str, tuple[Any, ...]] = {}
        self._faults: dict[str, list[NodeFault]] = {}

    def run(self, outputs: list[str]) -> list[Any]:
        """What each of the output nodes shows. Raises GraphRefused naming every node and input at fault."""
        ordered = order_nodes(self._graph, outputs)
        for node_id in ordered:
            self._evaluate(self._graph[node_id])
        if self._faults:
            raise self.refuse(self._faults, outputs)
        return [self._values[node_id][0] for node_id in outputs]

    def refuse(self, faults: Mapping[str, list[NodeFault]], outputs: list[str]) -> GraphRefused:
        """The refusal of the graph for these faults."""
        needed = {output: {*order_nodes(self._graph, [output])} for output in outputs}
        dependents = {node_id: [output for output in outputs if node_id in needed[output]] for node_id in faults}
        return refuse_nodes(faults, {node_id: self._graph[node_id].class_type for node_id in faults}, dependents)

    def _evaluate(self, node: Node) -> None:
        one = BY_NAME[node.class_type]
        faults: list[NodeFault] = []
        given: dict[str, Any] = {}
        is_missing_something = False
        for wanted in one.inputs:
            try:
                value, is_there = self._read(node, wanted)
                is_missing_something |= not is_there
                if is_there and value is not None:
                    given[wanted.name] = value
            except NodeFault as fault:
                faults.append(fault)
        if not faults and not is_missing_something:
            try:
                self._around.node_id = node.id
                self._values[node.id] = one.evaluate(given, self._around)
            except InvalidRequest as error:  # a picture that is damaged, say
                faults.append(NodeFault("custom_validation_failed", "Custom validation failed", error.message))
            except NodeFault as fault:
                fault.received = node.inputs.get(fault.input_name) if fault.received is None else fault.received
                faults.append(fault)
        if faults:
            self._faults[node.id] = faults

    def _read(self, node: Node, wanted: Input) -> tuple[Any, bool]:
        """The value of an input, and whether it is known: not where a node before has faults of its own."""
        value = node.inputs.get(wanted.name)
        if value is None:
            if wanted.is_required:
                raise NodeFault("required_input_missing", "Required input is missing", wanted.name, wanted.name)
            return wanted.default, True
        if isinstance(value, list):
            source, index = self._check_link(value, wanted)
            if source not in self._values:
                return None, False
            value = self._values[source][index]
        elif wanted.type not in SCALARS:
            raise NodeFault(
                "bad_linked_input",
                "Bad linked input, must be a length-2 list of [node_id, slot_index]",
                wanted.name,
                wanted.name,
                value,
            )
        return (self._check_scalar(value, wanted) if wanted.type in SCALARS else value), True

    def _check_link(self, value: list[Any], wanted: Input) -> tuple[str, int]:
        source = _link_source(value)
        if source is None:
            raise NodeFault(
                "bad_linked_input",
                "Bad linked input, must be a length-2 list of [node_id, slot_index]",
                wanted.name,
                wanted.name,
                value,
            )
        if source not in self._graph:
            raise NodeFault(
                "bad_linked_input",
                "Bad linked input, there is no such node",
                f"{wanted.name}: there is no node {shorten(source)!r}",
                wanted.name,
                value,
            )
        outputs = BY_NAME[self._graph[source].class_type].outputs
        index = value[1]
        if not 0 <= index < len(outputs):
            raise NodeFault(
                "bad_linked_input",
                "Bad linked input, there is no such output",
                f"{wanted.name}: node {shorten(source)!r} has {len(outputs)} outputs, not one with index {index}"[:300],
                wanted.name,
                value,
            )
        if outputs[index] != wanted.type and (outputs[index], wanted.type) not in _LIKE:
            raise NodeFault(
                "return_type_mismatch",
                "Return type mismatch between linked nodes",
                f"{wanted.name}, received_type({outputs[index]}) mismatch input_type({wanted.type})",
                wanted.name,
                value,
            )
        return source, int(index)

    def _check_scalar(self, value: Any, wanted: Input) -> Any:
        if wanted.type == "COMBO":
            return self._choose(value, wanted)
        if wanted.type in ("INT", "FLOAT"):
            read = _read_number(value, wanted)
            low, high = wanted.span(self._limits)
            if read < low:
                raise _out_of_span(
                    "value_smaller_than_min", f"Value {value} smaller than min of {low:g}", wanted, value
                )
            if read > high:
                raise _out_of_span("value_bigger_than_max", f"Value {value} bigger than max of {high:g}", wanted, value)
            return read
        if wanted.type == "BOOLEAN":
            if not isinstance(value, bool | int):
                raise _wrong_type(value, wanted)
            return bool(value)
        if isinstance(value, dict):
            raise _wrong_type(value, wanted)
        return value if isinstance(value, str) else str(value)

    def _choose(self, value: Any, wanted: Input) -> Any:
        if not isinstance(value, str):
            raise _wrong_type(value, wanted)
        if not isinstance(wanted.choices, str):
            if value in wanted.choices:
                return value
            raise _not_in_list(value, wanted, wanted.choices)
        try:
            return self._find_choice(wanted.choices, value)
        except LookupError as error:
            raise _not_in_list(value, wanted, error.args) from None


def _read_number(value: Any, wanted: Input) -> int | float:
    try:
        if isinstance(value, dict | bool):
            raise ValueError("no number")
        read = int(value) if wanted.type == "INT" else float(value)
        if not math.isfinite(read):
            raise ValueError("not finite")
    except (TypeError, ValueError, OverflowError):
        raise _wrong_type(value, wanted) from None
    return read


def _wrong_type(value: Any, wanted: Input) -> NodeFault:
    return NodeFault(
        "invalid_input_type",
        f"Failed to convert an input value to a {wanted.type} value",
        f"{wanted.name}, {show_value(value)}",
        wanted.name,
        value,
    )


def _out_of_span(type: str, message: str, wanted: Input, value: Any) -> NodeFault:
    return NodeFault(type, shorten(message), f"{wanted.name}: {shorten(message)}", wanted.name, value)


def _not_in_list(value: str, wanted: Input, allowed: Sequence[str]) -> NodeFault:
    shown = ", ".join(repr(one) for one in allowed[:_SHOWN_CHOICES])
    more = ", ..." if len(allowed) > _SHOWN_CHOICES else ""
    return NodeFault(
        "value_not_in_list", "Value not in list", f"{wanted.name}: {shorten(value)!r} not in [{shown}{more}]",
        wanted.name, value,
    )  # fmt: skip
