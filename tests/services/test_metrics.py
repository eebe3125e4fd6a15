"""Metrics: what is counted, what is looked at, and that nobody can blow them up."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sdcpp_rest.core.job import Job, Timings
from sdcpp_rest.services import metrics as metrics_module
from sdcpp_rest.services.metrics import Metrics

STATUS: dict[str, Any] = {
    "model_loaded": True,
    "model_name": 'odd "name"\n\\',
    "model_type": "diffusion",
    "model_architecture": None,
    "queue": {
        "pending_count": 4, "processing_count": 1, "completed_count": 3, "failed_count": 2, "cancelled_count": 0,
        "total_count": 10,
    },
    "engine": {"pid": 12, "restarts": 2},
    "memory": {"server": {"rss_bytes": 1000}, "engine": {"rss_bytes": None}},
}  # fmt: skip


@pytest.fixture
def status() -> dict[str, Any]:
    return dict(STATUS)


@pytest.fixture
def metrics(status: dict[str, Any]) -> Metrics:
    return Metrics("1.2.3", lambda: status, lambda: 7)


def samples(metrics: Metrics) -> dict[str, float]:
    """Every sample by name and labels, as a Prometheus server reads them."""
    return {
        sample.name + "".join(f" {name}={value}" for name, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
    }


def test_what_can_be_looked_at_is_looked_at_when_asked(metrics: Metrics, status: dict[str, Any]) -> None:
    found = samples(metrics)
    assert found["sdcpp_rest_jobs status=pending"] == 4
    assert found["sdcpp_rest_jobs status=failed"] == 2
    assert "sdcpp_rest_jobs status=total" not in found
    assert found["sdcpp_rest_queue_depth"] == 4
    assert found["sdcpp_rest_processing"] == 1
    assert found["sdcpp_rest_engine_up"] == 1
    assert found["sdcpp_rest_engine_restarts_total"] == 2
    assert found["sdcpp_rest_event_subscribers"] == 7
    assert found["sdcpp_rest_rss_bytes process=server"] == 1000
    assert "sdcpp_rest_rss_bytes process=engine" not in found
    assert found["sdcpp_rest_build_info version=1.2.3"] == 1
    assert any(name.startswith("sdcpp_rest_resident_model_info architecture= name=odd") for name in found)
    status["engine"] = {"pid": None, "restarts": 3}
    assert samples(metrics)["sdcpp_rest_engine_up"] == 0


def test_without_a_model_there_is_none(metrics: Metrics, status: dict[str, Any]) -> None:
    status["model_loaded"] = False
    assert not any("resident_model_info" in name for name in samples(metrics))


def test_finished_jobs_are_counted_and_the_seconds_of_completed_ones(metrics: Metrics) -> None:
    timings = Timings(queued_seconds=2, load_seconds=0, native_seconds=40, encode_seconds=0.2)
    for number, status in enumerate(("completed", "completed", "failed", "cancelled")):
        metrics.count_job(Job(id=str(number), kind="txt2img", status=status, timings=timings))
    found = samples(metrics)
    assert found["sdcpp_rest_jobs_finished_total kind=txt2img status=completed"] == 2
    assert found["sdcpp_rest_jobs_finished_total kind=txt2img status=failed"] == 1
    assert found["sdcpp_rest_job_native_seconds_count kind=txt2img"] == 2
    assert found["sdcpp_rest_job_native_seconds_sum kind=txt2img"] == 80
    assert found["sdcpp_rest_job_native_seconds_bucket kind=txt2img le=30.0"] == 0
    assert found["sdcpp_rest_job_native_seconds_bucket kind=txt2img le=60.0"] == 2
    assert found["sdcpp_rest_job_queued_seconds_sum kind=txt2img"] == 4
    assert found["sdcpp_rest_job_encode_seconds_sum kind=txt2img"] == pytest.approx(0.4)


def test_requests_are_counted_by_rule_method_and_status(metrics: Metrics) -> None:
    metrics.count_request("/queue/<job_id>", "GET", 200, 0.002)
    metrics.count_request("/queue/<job_id>", "GET", 404, 0.002)
    found = samples(metrics)
    assert found["sdcpp_rest_http_requests_total endpoint=/queue/<job_id> method=GET status=404"] == 1
    assert found["sdcpp_rest_http_request_seconds_count endpoint=/queue/<job_id> method=GET"] == 2


def test_invented_methods_are_one_method(metrics: Metrics) -> None:
    for number in range(100):
        metrics.count_request("unknown", f"METHOD{number}", 405, 0.001)
    assert samples(metrics)["sdcpp_rest_http_requests_total endpoint=unknown method=other status=405"] == 100


def test_two_servers_in_one_process_count_apart(metrics: Metrics) -> None:
    other = Metrics("1", lambda: STATUS, lambda: 0)
    metrics.count_request("/x", "GET", 200, 0.1)
    assert not any("http_requests_total" in name for name in samples(other))


@pytest.mark.slow
def test_what_never_serves_never_loads_the_prometheus_client() -> None:
    script = "import sys, sdcpp_rest.web.app; sys.exit('prometheus_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], timeout=60, check=False).returncode == 0


def test_what_came_before_anybody_asked_is_counted(metrics: Metrics) -> None:
    for _ in range(metrics_module._MOST_EARLY + 3):
        metrics.count_request("/health", "GET", 200, 0.002)
    metrics.count_request("/health", "BREW", 405, 0.002)
    found = samples(metrics)
    assert found["sdcpp_rest_http_requests_total endpoint=/health method=GET status=200"] == (
        metrics_module._MOST_EARLY + 3
    )
    assert found["sdcpp_rest_http_requests_total endpoint=/health method=other status=405"] == 1
    metrics.count_request("/health", "GET", 200, 0.002)
    again = samples(metrics)
    assert again["sdcpp_rest_http_requests_total endpoint=/health method=GET status=200"] == (
        metrics_module._MOST_EARLY + 4
    )


def test_a_server_that_nobody_asks_remembers_no_more_than_a_few(metrics: Metrics) -> None:
    for _ in range(3 * metrics_module._MOST_EARLY):
        metrics.count_request("/health", "GET", 200, 0.002)
    assert not metrics._early
