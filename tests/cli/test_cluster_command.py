"""``sdcpp-rest cluster`` as a user types it; Ray's own command is pretended, and notes what it was called with."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sdcpp_rest.cli import cluster_membership, engine_probe, ray_start
from sdcpp_rest.cli.cluster_membership import Membership, ensure_token, read_membership, write_membership
from sdcpp_rest.cli.ray_start import ClusterRefused, explain_failure
from sdcpp_rest.engine.remote.node_settings import NodeSettings, our_version
from sdcpp_rest.runtime import DEMO_ROOT
from tests.cases import for_each_case
from tests.cli.conftest import Run, beside
from tests.routes.conftest import ServedHouse

HEAD = "192.168.1.10:6379"
STARTED = "Next steps\n  ray start --address='192.168.1.10:6379'\n"


@dataclass
class Machine:
    """What the commands meet here: the GPUs of the engine, processes that run, and what Ray's command says."""

    gpus: int = 0
    running: set[str] = field(default_factory=set)
    ended: list[str] = field(default_factory=list)
    refusal: str = ""
    arguments: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)

    def run_ray(self, arguments: Sequence[str], environment: Mapping[str, str]) -> str:
        self.arguments, self.environment = list(arguments), dict(environment)
        if self.refusal:
            raise ClusterRefused(self.refusal)
        self.running.add(environment[cluster_membership.MARK_VARIABLE])
        return STARTED

    def end(self, mark: str) -> int:
        self.ended.append(mark)
        count = 2 if mark in self.running else 0
        self.running.discard(mark)
        return count

    def option(self, name: str) -> str | None:
        """The value of an option of Ray's, if it was given."""
        found = [one for one in self.arguments if one.startswith(f"--{name}=")]
        return found[0].partition("=")[2] if found else None


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()

    def probe(config: Any = None) -> Any:
        return SimpleNamespace(devices=[SimpleNamespace(is_gpu=index > 0) for index in range(made.gpus + 1)])

    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(ray_start, "is_installed", lambda: True)
    monkeypatch.setattr(ray_start, "run_ray", made.run_ray)
    monkeypatch.setattr(ray_start, "check_head", lambda host, port: None)
    monkeypatch.setattr(ray_start, "check_port", lambda host, port: None)
    monkeypatch.setattr(engine_probe, "probe_engine", probe)
    monkeypatch.setattr(cluster_membership, "end_processes", made.end)
    monkeypatch.setattr(cluster_membership, "find_processes", lambda mark: [mark] if mark in made.running else [])
    return made


@pytest.fixture
def box(run: Run, machine: Machine, tmp_path: Path) -> Callable[..., Any]:
    """Run a command of the group with folders below ``tmp_path``."""
    folders = [f"--{name}-dir={tmp_path / name}" for name in ("data", "models")]

    def invoke(command: str, *arguments: str | Path) -> Any:
        return run("cluster", command, *folders, *arguments)

    return invoke


def test_without_ray_the_commands_say_what_to_install(box: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_start, "is_installed", lambda: False)
    for command in (("start-head",), ("join", HEAD)):
        result = box(*command)
        assert (result.exit_code, result.stderr) == (
            1, 'Error: Ray is not installed here: pip install "sdcpp-rest[cluster]"\n',
        )  # fmt: skip


def test_head_offers_nothing_and_has_a_token_of_its_own(box: Run, machine: Machine, tmp_path: Path) -> None:
    result = box("start-head", "--name", "desk", "--", "--min-worker-port=20000")
    assert result.exit_code == 0, result.stderr
    token = tmp_path / "data" / "cluster.token"
    assert re.fullmatch("[0-9a-f]{64}", token.read_text())
    assert token.stat().st_mode & 0o777 == 0o600
    assert machine.arguments == [
        "-m", "ray.scripts.scripts", "start", "--head", "--port=6379", "--include-dashboard=false", "--num-cpus=0",
        "--num-gpus=0", "--disable-usage-stats", f"--labels=sdcpp-rest-version={our_version()},sdcpp-rest-name=desk",
        "--min-worker-port=20000",
    ]  # fmt: skip
    assert machine.environment["RAY_AUTH_MODE"] == "token"
    assert machine.environment["RAY_AUTH_TOKEN_PATH"] == str(token)
    assert machine.environment["RAY_USAGE_STATS_ENABLED"] == "0"
    assert str(token) in result.stdout
    assert token.read_text() not in result.output
    assert f"sdcpp-rest serve --cluster {HEAD}" in result.stdout


def test_head_takes_its_options_to_ray(box: Run, machine: Machine) -> None:
    machine.gpus = 4
    result = box("start-head", "--host", "10.0.0.1", "--port", "7000", "--dashboard", "--engines", "2")
    assert result.exit_code == 0, result.stderr
    told = {name: machine.option(name) for name in ("node-ip-address", "port", "include-dashboard", "num-gpus")}
    assert told == {"node-ip-address": "10.0.0.1", "port": "7000", "include-dashboard": "true", "num-gpus": "2"}
    assert json.loads(machine.option("resources") or "") == {"sdcpp_engine": 2}


def test_token_that_is_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "new" / "cluster.token"
    assert ensure_token(path)
    first = path.read_text()
    assert not ensure_token(path)
    assert path.read_text() == first


@pytest.mark.parametrize(
    ("gpus", "given", "engines", "used"),
    [(0, (), 1, 0), (2, (), 2, 2), (2, ("--engines", "1"), 1, 1), (0, ("--engines", "3"), 3, 0)],
)
def test_node_offers_an_engine_for_each_gpu(
    box: Run, machine: Machine, tmp_path: Path, gpus: int, given: tuple[str, ...], engines: int, used: int
) -> None:
    ensure_token(tmp_path / "data" / "cluster.token")
    machine.gpus = gpus
    result = box("join", HEAD, "--name", "box1", *given)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == (
        f"box1 has joined {HEAD} with {engines} engine{'s' if engines > 1 else ''}\n"
        f"Models are read from {tmp_path / 'models'}; `sdcpp-rest cluster stop` leaves\n"
    )
    assert machine.option("address") == HEAD
    assert machine.option("num-gpus") == str(used)
    assert json.loads(machine.option("resources") or "") == {"sdcpp_engine": engines}


def test_node_tells_its_engines_where_files_are(box: Run, machine: Machine, tmp_path: Path) -> None:
    token = tmp_path / "copy"
    token.write_text("0" * 64)
    assert box("join", HEAD, "--token-file", token).exit_code == 0
    settings = NodeSettings.of_environment(machine.environment)
    assert settings.data_dir == str(tmp_path / "data")
    assert settings.roots == {"models": str(tmp_path / "models"), "demo": str(DEMO_ROOT)}
    assert machine.environment["RAY_AUTH_TOKEN_PATH"] == str(token)


def test_token_in_the_environment_does_not_win_over_the_file(
    box: Run, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "another")
    ensure_token(tmp_path / "data" / "cluster.token")
    assert box("join", HEAD).exit_code == 0
    assert "RAY_AUTH_TOKEN" not in machine.environment


def test_node_of_a_loopback_head_needs_no_token_and_takes_its_address(box: Run, machine: Machine) -> None:
    result = box("join", "127.0.0.10:6379")
    assert result.exit_code == 0, result.stderr
    assert machine.option("node-ip-address") == "127.0.0.10"
    assert machine.environment["RAY_AUTH_MODE"] == "disabled"


@for_each_case(
    ("arguments", "words"),
    [
        (("start-head", "--host", "127.0.0.1"), "use 127.0.0.10"),
        (("start-head", "--name", "my desk"), "--name my desk: letters, digits"),
        (("start-head", "--", "--block"), "--block is not possible"),
        (("join", "localhost:6379"), "use 127.0.0.10"),
        (("join", "127.0.0.10:6379", "--host", "127.0.0.1"), "use 127.0.0.10"),
        (("join", "192.168.1.10"), "192.168.1.10 is not HOST:PORT"),
        (("join", "192.168.1.10:0"), "is not HOST:PORT"),
        (("join", HEAD), "A cluster on 192.168.1.10 needs its token: copy the head's cluster.token to"),
        (("join", "127.0.0.10:6379", "--name", "a,b"), "--name a,b: letters, digits"),
    ],
)
def test_what_cannot_work_is_refused_before_ray_is_asked(
    box: Run, machine: Machine, arguments: tuple[str, ...], words: str
) -> None:
    result = box(*arguments)
    assert result.exit_code == 1
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
    assert machine.arguments == []


def test_failed_start_leaves_nothing(box: Run, machine: Machine, tmp_path: Path) -> None:
    machine.refusal = "The head does not let this machine in"
    result = box("join", "127.0.0.10:6379")
    assert (result.exit_code, result.stderr) == (1, "Error: The head does not let this machine in\n")
    assert machine.ended == [machine.environment[cluster_membership.MARK_VARIABLE]]
    assert read_membership(tmp_path / "data") is None


def test_machine_joins_once_until_it_has_left(box: Run, machine: Machine, tmp_path: Path) -> None:
    assert box("join", "127.0.0.10:6379", "--name", "box1").exit_code == 0
    second = box("join", "127.0.0.11:6379")
    assert "part of the cluster at 127.0.0.10:6379 already (node)" in second.stderr
    assert box("stop").stdout == "box1 has left 127.0.0.10:6379 (2 processes ended)\n"
    assert box("stop").stdout == "Nothing to stop: this machine is part of no cluster\n"
    assert box("join", "127.0.0.11:6379").exit_code == 0


def test_what_ended_by_itself_does_not_keep_a_machine_from_joining(box: Run, machine: Machine) -> None:
    assert box("start-head", "--host", "127.0.0.10").exit_code == 0
    machine.running.clear()
    assert "has ended" in box("status").stdout
    assert box("start-head", "--host", "127.0.0.10").exit_code == 0


@for_each_case("text", ["", "{", "[]", '{"role": "head"}'])
def test_note_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "cluster.json").write_text(text)
    assert read_membership(tmp_path) is None


@for_each_case(
    ("printed", "sentence"),
    [
        ("W gcs: InvalidAuthToken: missing\nTraceback", "The head does not let this machine in: --token-file names"),
        (
            (
                "RuntimeError: Version mismatch: The cluster was started with:\n    Ray: 2.60.0\n    Python: 3.12.3\n"
                "This process on node 10.0.0.2 was started with:\n    Ray: 2.55.0\n    Python: 3.11.9\n"
            ),
            "The head runs Ray 2.60.0 on Python 3.12.3, this machine Ray 2.55.0 on Python 3.11.9: all machines",
        ),
        ("Traceback\n  File x\nValueError: no such option\n", "Ray did not start: ValueError: no such option"),
        ("", "Ray did not start within 120 s"),
    ],
)
def test_failures_of_ray_become_a_sentence(printed: str, sentence: str) -> None:
    assert explain_failure(printed).startswith(sentence)


def test_port_that_is_taken_is_refused() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ClusterRefused, match="--port takes another"):
            ray_start.check_port("127.0.0.1", port)
        ray_start.check_head("127.0.0.1", port, timeout_seconds=0.05)
    with pytest.raises(ClusterRefused, match=f"No head answers at 127.0.0.1:{port}"):
        ray_start.check_head("127.0.0.1", port, timeout_seconds=0.05)


def test_status_without_server_and_cluster_says_so(box: Run) -> None:
    result = box("status")
    assert result.exit_code == 1
    assert "No server runs with this data folder" in result.stderr


def test_status_shows_the_engines_of_the_server(run: Run, machine: Machine, served: ServedHouse) -> None:
    data_dir = served.runtime.config.paths.data_dir
    write_membership(data_dir, Membership("head", HEAD, "desk", 0, "mark"))
    machine.running.add("mark")
    lines = run("cluster", "status", *beside(served)).stdout.splitlines()
    assert lines[0] == f"here      head of {HEAD}, called desk, 0 engines: runs"
    assert any(line.startswith("engine    ") and line.endswith(": idle") for line in lines)
    told = json.loads(run("cluster", "status", "--json", *beside(served)).stdout)
    assert told["here"] == {"role": "head", "address": HEAD, "name": "desk", "engines": 0, "is_running": True}
    assert len(told["engines"]) == 1


def test_status_shows_the_nodes_that_the_server_tells_of(
    run: Run, machine: Machine, served: ServedHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sdcpp_rest.client import Client

    node = {"address": "10.0.0.2", "engines": 2, "gpus": 2, "versions": {}, "is_draining": False, "fault": ""}
    nodes = [
        {**node, "name": "box1"},
        {**node, "name": "box2", "gpus": 0, "fault": "it has sdcpp-rest 0.1"},
        {**node, "name": "box3", "is_draining": True},
    ]
    cluster = {"address": HEAD, "is_connected": False, "trouble": "its head is gone", "nodes": nodes}
    monkeypatch.setattr(Client, "show_engines", lambda client: {"engines": [], "why": "none", "cluster": cluster})
    assert run("cluster", "status", *beside(served)).stdout.splitlines() == [
        f"cluster   {HEAD} is not connected: its head is gone",
        "node      box1 (10.0.0.2), 2 engines, 2 GPUs",
        "node      box2 (10.0.0.2), 2 engines: not used, it has sdcpp-rest 0.1",
        "node      box3 (10.0.0.2), 2 engines, 2 GPUs: leaves, and finishes what it has begun",
        "engine    none: none",
    ]


@pytest.mark.parametrize(("command", "ending"), [("drain", ": leaves, and finishes what it has begun"), ("resume", "")])
def test_node_is_drained_and_resumed_at_the_server(
    run: Run, machine: Machine, served: ServedHouse, monkeypatch: pytest.MonkeyPatch, command: str, ending: str
) -> None:
    from sdcpp_rest.client import Client

    def told(client: Client, name: str) -> Mapping[str, Any]:
        return {
            "name": name, "address": "10.0.0.2", "engines": 1, "gpus": 0, "versions": {}, "fault": None,
            "is_draining": command == "drain",
        }  # fmt: skip

    monkeypatch.setattr(Client, f"{command}_node", told)
    result = run("cluster", command, "box1", *beside(served))
    assert result.stdout == f"node      box1 (10.0.0.2), 1 engine{ending}\n"


def test_node_that_is_away_is_resumed_at_the_server(
    run: Run, machine: Machine, served: ServedHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sdcpp_rest.client import Client

    away = {"name": "box1", "address": "", "engines": 0, "fault": "it is not there now; it is used again when it comes"}
    monkeypatch.setattr(Client, "resume_node", lambda client, name: away)
    result = run("cluster", "resume", "box1", *beside(served))
    assert result.stdout == "node      box1: it is not there now; it is used again when it comes\n"


def test_log_of_an_engine_is_shown(
    run: Run, machine: Machine, served: ServedHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sdcpp_rest.client import Client

    asked = []

    def show(client: Client, **query: Any) -> Mapping[str, Any]:
        asked.append(query)
        return {"lines": ["loads x.gguf", "last"], "truncated": True}

    monkeypatch.setattr(Client, "show_engine_log", show)
    assert run("cluster", "log", "box1:0", "--tail", "2", *beside(served)).stdout == "loads x.gguf\nlast\n"
    assert asked == [{"engine": "box1:0", "tail": 2}]


def test_log_of_an_engine_that_is_not_there_is_refused(run: Run, machine: Machine, served: ServedHouse) -> None:
    result = run("cluster", "log", "box1:0", *beside(served))
    assert (result.exit_code, result.stdout) == (1, "")
    assert "engine must be" in result.stderr


def test_drain_tells_what_the_server_refuses(run: Run, machine: Machine, served: ServedHouse) -> None:
    result = run("cluster", "drain", "box1", *beside(served))
    assert result.exit_code == 1
    assert "This server is part of no cluster" in result.stderr


def test_drain_without_a_server_says_so(box: Run) -> None:
    result = box("drain", "box1")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "No server runs with this data folder" in result.stderr
