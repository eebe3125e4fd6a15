"""Nodes of one name are told apart."""

from __future__ import annotations

from sdcpp_rest.engine.remote.cluster import ClusterNode, tell_apart


def test_only_names_that_several_have_are_changed() -> None:
    nodes = [ClusterNode(f"{number:020d}", name, "here", 1) for number, name in enumerate(("a", "box", "box"))]
    assert [node.name for node in tell_apart(nodes)] == ["a", "box-000001", "box-000002"]
    assert tell_apart(nodes[:2]) == nodes[:2]
