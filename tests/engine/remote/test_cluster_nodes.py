"""Nodes of one name are told apart."""

from __future__ import annotations

from sdcpp_rest.engine.remote.cluster import ClusterNode, tell_apart


def test_only_the_later_of_two_gets_another_name_and_both_keep_theirs() -> None:
    a, *boxes = [ClusterNode(f"{number:020d}", name, "here", 1) for number, name in enumerate(("a", *["box"] * 3))]
    names: dict[str, str] = {}

    def names_of(*nodes: ClusterNode) -> list[str]:
        return [node.name for node in tell_apart(nodes, names)]

    assert names_of(a, boxes[1]) == ["a", "box"]
    assert names_of(boxes[0], a, boxes[1]) == ["box-000001", "a", "box"], "who was first keeps the name"
    assert names_of(boxes[0]) == ["box-000001"], "which may be that of a drained one"
    assert names_of(boxes[0], boxes[2]) == ["box-000001", "box"]
