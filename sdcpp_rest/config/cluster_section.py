"""Defines the settings of a cluster: where engines on other machines are."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from sdcpp_rest.config.sections import Integer, Section

_MOST_ENGINES = 64


class ClusterConfig(Section):
    """Engines on other machines, which have joined a Ray cluster (``sdcpp-rest cluster``); the queue stays here."""

    address: str = Field(
        default="",
        description="Where the cluster's head is: HOST:PORT, or auto for the cluster that this machine is part of. "
        "Empty: no cluster, and nothing of it is imported.",
        examples=["192.168.1.10:6379"],
    )
    token_file: Path | None = Field(
        default=None,
        description="The file with the cluster's token, as `sdcpp-rest cluster start-head` has made it. Unset: "
        "cluster.token in the data folder. A cluster without one is only used on loopback addresses.",
        examples=["/home/me/sdcpp-rest/cluster.token"],
    )
    pull_models: bool = Field(
        default=False,
        description="Whether a machine that lacks a model which a job needs is given it by the server, and keeps it.",
    )
    scale_up_after_jobs: Integer = Field(
        default=0,
        ge=0,
        le=100_000,
        description="How many jobs may wait before the cluster's autoscaler is asked for machines: for one engine for "
        "each such number of waiting jobs, up to max_engines. 0: never.",
    )
    files: Literal["sent", "shared"] = Field(
        default="sent",
        description="How the pictures of a job get to a machine and back: sent, or not at all, where all machines see "
        "the server's data folder and output folder under the same paths (NFS, say).",
    )
    max_engines: Integer = Field(
        default=_MOST_ENGINES, ge=1, le=_MOST_ENGINES, description="How many engines of the cluster this server uses."
    )

    @field_validator("address")
    @classmethod
    def _check_address(cls, address: str) -> str:
        host, colon, port = address.rpartition(":")
        if address in ("", "auto") or (host and colon and port.isdigit() and 0 < int(port) < 65536):
            return address
        raise ValueError(f"{address!r} is neither auto nor HOST:PORT")
