"""Defines what a machine that joins a cluster tells its engines, through the environment of what starts them there."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

SETTINGS_VARIABLE = "SDCPP_REST_CLUSTER_NODE"
ENGINE_RESOURCE = "sdcpp_engine"
"""What a node that has joined offers, one for each engine."""
VERSION_LABEL = "sdcpp-rest-version"
NAME_LABEL = "sdcpp-rest-name"


def our_version() -> str:
    """This project's version, which all machines of a cluster have in common."""
    return importlib.metadata.version("sdcpp-rest")


@dataclass(frozen=True)
class NodeSettings:
    """``data_dir``: where engines put logs and the files of jobs; ``roots``: the folders of models, by their words."""

    data_dir: str
    roots: dict[str, str]

    def to_environment(self) -> dict[str, str]:
        """The variables that carry it."""
        return {SETTINGS_VARIABLE: json.dumps(asdict(self))}

    @classmethod
    def of_environment(cls, variables: Mapping[str, str]) -> NodeSettings:
        """Raises RuntimeError on a machine that has not joined with our command."""
        if SETTINGS_VARIABLE not in variables:
            raise RuntimeError("this node was not joined with `sdcpp-rest cluster join`")
        return cls(**json.loads(variables[SETTINGS_VARIABLE]))
