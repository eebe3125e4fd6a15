"""Counts requests and jobs for Prometheus, and reads everything else at the moment of asking.

Every metric has the prefix ``sdcpp_rest_`` and lives in a registry of its own. Knows the queue, the engine and the bus;
knows nothing of HTTP but the four words with which a request is reported to it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sdcpp_rest.core.job import Job, Timings

if TYPE_CHECKING:
    from prometheus_client.core import Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_REQUEST_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_JOB_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
_STAGES = {
    "queued": "Seconds that finished jobs waited in the queue",
    "load": "Seconds that finished jobs waited for their model",
    "native": "Seconds that the library computed for finished jobs",
    "encode": "Seconds that encoding the files of finished jobs took",
}

_MOST_EARLY = 200
"""Requests and jobs that are remembered until somebody asks: after so many it is a server that somebody looks after."""


class Metrics:
    """Counts requests and jobs for Prometheus.

    Thread-safe. Prometheus' library is imported when somebody first asks, or when there is much to remember: most
    servers are asked by nobody, and all of them start.

    Args:
        status: the data of a ``server_status`` event: health, queue counts and memory, at the moment of asking.
        subscribers: how many listen to the event bus.
        engines: those of ``GET /engines``, at the moment of asking.
        cluster: that of ``GET /engines`` with the ``history`` of its machines; ``None`` where there is none.
    """

    def __init__(
        self,
        version: str,
        status: Callable[[], Mapping[str, Any]],
        subscribers: Callable[[], int],
        engines: Callable[[], Sequence[Mapping[str, Any]]] = tuple,
        cluster: Callable[[], Mapping[str, Any] | None] = lambda: None,
    ) -> None:
        self._version = version
        self._live = _LiveCollector(status, subscribers, engines, cluster)
        self._lock = threading.Lock()
        self._early: list[_Request | _Job | _Requeue] = []
        self._counters: _Counters | None = None

    def count_request(self, endpoint: str, method: str, status: int, seconds: float) -> None:
        """Count an answered request. ``endpoint`` is a URL rule, never a URL: clients must not be able to fill the
        memory with names."""
        self._count(_Request(endpoint, method if method in _METHODS else "other", status, seconds))

    def count_job(self, job: Job) -> None:
        """Count a job that has come to its end. The seconds of cancelled and failed ones would blur those of the
        others."""
        self._count(_Job(job.kind, job.status, job.timings, job.engine or ""))

    def count_requeue(self, job: Job) -> None:
        """Count a job that an engine has begun and that waits again."""
        self._count(_Requeue(job.engine or ""))

    def text(self) -> bytes:
        """Everything, in the Prometheus text format (`CONTENT_TYPE`)."""
        return self._begin().text()

    def _count(self, counted: _Request | _Job | _Requeue) -> None:
        with self._lock:
            if self._counters is None and len(self._early) < _MOST_EARLY:
                self._early.append(counted)
                return
        self._begin().count(counted)

    def _begin(self) -> _Counters:
        """The counters, with everything in them that came before there were any."""
        with self._lock:
            if self._counters is None:
                counters = _Counters(self._version, self._live)
                for counted in self._early:
                    counters.count(counted)
                self._early.clear()
                self._counters = counters
            return self._counters


class _Request(NamedTuple):
    endpoint: str
    method: str
    status: int
    seconds: float


class _Job(NamedTuple):
    kind: str
    status: str
    timings: Timings
    engine: str


class _Requeue(NamedTuple):
    engine: str


class _Counters:
    def __init__(self, version: str, live: _LiveCollector) -> None:
        import prometheus_client as prometheus

        from sdcpp_rest.services.engine_metrics import EngineTally

        self._exposition = prometheus.generate_latest
        self._registry = registry = prometheus.CollectorRegistry()
        self._finished = prometheus.Counter(
            "sdcpp_rest_jobs_finished", "Jobs finished since the server started", ("kind", "status"), registry=registry
        )
        self._stages = {
            stage: prometheus.Histogram(
                f"sdcpp_rest_job_{stage}_seconds", text, ("kind",), buckets=_JOB_SECONDS, registry=registry
            )
            for stage, text in _STAGES.items()
        }
        self._requests = prometheus.Counter(
            "sdcpp_rest_http_requests", "HTTP requests answered", ("endpoint", "method", "status"), registry=registry
        )
        self._request_seconds = prometheus.Histogram(
            "sdcpp_rest_http_request_seconds",
            "Seconds until an answer was ready to be sent",
            ("endpoint", "method"),
            buckets=_REQUEST_SECONDS,
            registry=registry,
        )
        prometheus.Info("sdcpp_rest_build", "What runs here", registry=registry).info({"version": version})
        registry.register(live)
        self._tally = EngineTally()
        registry.register(self._tally)

    def count(self, counted: _Request | _Job | _Requeue) -> None:
        if isinstance(counted, _Job):
            self._count_job(counted)
            return
        if isinstance(counted, _Requeue):
            self._tally.count(counted.engine, "requeued")
            return
        self._requests.labels(counted.endpoint, counted.method, str(counted.status)).inc()
        self._request_seconds.labels(counted.endpoint, counted.method).observe(counted.seconds)

    def _count_job(self, job: _Job) -> None:
        self._finished.labels(job.kind, job.status).inc()
        if job.engine:
            self._tally.count(job.engine, job.status)
        if job.status != "completed":
            return
        for stage, histogram in self._stages.items():
            histogram.labels(job.kind).observe(getattr(job.timings, f"{stage}_seconds"))

    def text(self) -> bytes:
        return self._exposition(self._registry)


class _LiveCollector:
    """Collects what need not be counted, because it can be looked at."""

    def __init__(
        self,
        status: Callable[[], Mapping[str, Any]],
        subscribers: Callable[[], int],
        engines: Callable[[], Sequence[Mapping[str, Any]]],
        cluster: Callable[[], Mapping[str, Any] | None],
    ) -> None:
        self._cluster = cluster
        self._status = status
        self._subscribers = subscribers
        self._engines = engines

    def describe(self) -> list[Metric]:
        """Nothing: registering must not ask a runtime that is not started yet."""
        return []

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

        from sdcpp_rest.services.engine_metrics import collect_engines, collect_nodes

        def gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
            return GaugeMetricFamily(f"sdcpp_rest_{name}", text, value=value)

        status = self._status()
        queue, engine, memory = status["queue"], status["engine"], status["memory"]
        jobs = GaugeMetricFamily("sdcpp_rest_jobs", "Jobs in the database", labels=["status"])
        for name, count in queue.items():
            if name != "total_count":
                jobs.add_metric([name.removesuffix("_count")], count)
        yield jobs
        yield gauge("queue_depth", "Jobs that wait", queue["pending_count"])
        yield gauge("processing", "Jobs that the engines compute (at most one each)", queue["processing_count"])
        yield gauge(
            "engine_up", "Whether there is an engine process (with several, the home one's)", engine["pid"] is not None
        )
        yield CounterMetricFamily(
            "sdcpp_rest_engine_restarts",
            "Engines that were replaced (with several, the home one)",
            value=engine["restarts"],
        )
        model = InfoMetricFamily("sdcpp_rest_resident_model", "The model that the home engine used last")
        if status["model_loaded"]:
            named = {name: status[f"model_{name}"] or "" for name in ("name", "type", "architecture")}
            model.add_metric([], named)
        yield model
        rss = GaugeMetricFamily("sdcpp_rest_rss_bytes", "Resident memory", labels=["process"])
        for process in ("server", "engine"):
            if memory[process]["rss_bytes"] is not None:
                rss.add_metric([process], memory[process]["rss_bytes"])
        yield rss
        yield gauge("event_subscribers", "Listeners of the event bus", self._subscribers())
        told = self._engines()
        yield from collect_engines(told)
        cluster = self._cluster()
        if cluster is not None:
            yield from collect_nodes(cluster, told)
