"""Tells Prometheus of each engine and of each machine of a cluster.

Names come and go with machines: what is remembered of those that have left is bounded. Reads what `GET /engines` shows;
imported with Prometheus' library, when somebody first asks.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric

_MOST_ENGINES = 256
_WORKS = ("loading", "running")
_COUNTERS = {
    "busy_seconds": "Seconds that an engine was busy with jobs",
    "loads": "Models that an engine has loaded",
    "affinity_hits": "Jobs whose model an engine held already",
}
_NODE_STATES = ("free", "busy", "draining", "faulty", "unavailable")


class EngineTally:
    """Counts what became of the jobs of each engine: their status, or ``requeued``. Thread-safe.

    Remembers the engines that were used last, also those that have left: a job is put back because its engine has.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: OrderedDict[str, Counter[str]] = OrderedDict()

    def count(self, engine: str, outcome: str) -> None:
        with self._lock:
            self._counts.setdefault(engine, Counter())[outcome] += 1
            self._counts.move_to_end(engine)
            if len(self._counts) > _MOST_ENGINES:
                self._counts.popitem(last=False)

    def describe(self) -> list[Metric]:
        """Nothing: there are no engines yet."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The counter, for Prometheus' library."""
        text = "Jobs of an engine by what became of them; requeued: they wait again, and are counted once more"
        jobs = CounterMetricFamily("sdcpp_rest_engine_jobs", text, labels=["engine", "status"])
        with self._lock:
            for engine, counts in self._counts.items():
                for outcome, count in sorted(counts.items()):
                    jobs.add_metric([engine, outcome], count)
        yield jobs


def collect_engines(told: Sequence[Mapping[str, Any]]) -> Iterator[Metric]:
    """What each engine does, by its name; ``told``: the engines of ``GET /engines``."""
    # One that has not said its name yet has done nothing either.
    engines = [engine for engine in told if engine["name"]]
    available = GaugeMetricFamily(
        "sdcpp_rest_engine_available", "Whether an engine computes, or could", labels=["engine"]
    )
    busy = GaugeMetricFamily("sdcpp_rest_engine_busy", "Whether an engine computes or loads", labels=["engine"])
    model = InfoMetricFamily("sdcpp_rest_engine_model", "The model that an engine used last", labels=["engine"])
    for engine in engines:
        available.add_metric([engine["name"]], engine["is_available"])
        busy.add_metric([engine["name"]], _is_busy(engine))
        if engine["model_name"]:
            model.add_metric([engine["name"]], {"name": engine["model_name"]})
    yield from (available, busy, model)
    for name, text in _COUNTERS.items():
        counter = CounterMetricFamily(f"sdcpp_rest_engine_{name}", text, labels=["engine"])
        for engine in engines:
            counter.add_metric([engine["name"]], engine["counters"][name])
        yield counter


def collect_nodes(cluster: Mapping[str, Any], told: Sequence[Mapping[str, Any]]) -> Iterator[Metric]:
    """What each machine of the cluster does, by its name.

    Args:
        cluster: the cluster of ``GET /engines``, with the ``history`` of its machines.
        told: the engines of ``GET /engines``.
    """
    yield GaugeMetricFamily(
        "sdcpp_rest_cluster_up", "Whether the cluster can be reached", value=bool(cluster["is_connected"])
    )
    engines = GaugeMetricFamily(
        "sdcpp_rest_node_engines", "Engines that a machine of the cluster offers", labels=["node", "state"]
    )
    info = InfoMetricFamily("sdcpp_rest_node", "What runs on a machine of the cluster", labels=["node"])
    for node in cluster["nodes"]:
        for state, count in _count_states(node, told).items():
            engines.add_metric([node["name"], state], count)
        versions = {name.replace("-", "_"): version for name, version in node["versions"].items()}
        info.add_metric([node["name"]], {"address": node["address"], **versions})
    lost = CounterMetricFamily(
        "sdcpp_rest_node_lost_engines", "Engines of a machine that were lost after they had started", labels=["node"]
    )
    seen = GaugeMetricFamily(
        "sdcpp_rest_node_last_seen_timestamp_seconds", "When the cluster last had a machine", labels=["node"]
    )
    for one in cluster["history"]:
        lost.add_metric([one["name"]], one["lost_engines"])
        seen.add_metric([one["name"]], one["last_seen"])
    yield from (engines, info, lost, seen)


def _count_states(node: Mapping[str, Any], told: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How many engines of a machine are in each state; together as many as it offers."""
    counts = dict.fromkeys(_NODE_STATES, 0)
    if node["fault"] or node["is_draining"]:
        counts["faulty" if node["fault"] else "draining"] = node["engines"]
        return counts
    own = [engine for engine in told if (engine["name"] or "").rpartition(":")[0] == node["name"]]
    counts["busy"] = sum(_is_busy(engine) for engine in own)
    counts["free"] = sum(engine["is_available"] and not _is_busy(engine) for engine in own)
    counts["unavailable"] = max(0, node["engines"] - counts["busy"] - counts["free"])
    return counts


def _is_busy(engine: Mapping[str, Any]) -> bool:
    return engine["job_id"] is not None or engine["state"] in _WORKS
