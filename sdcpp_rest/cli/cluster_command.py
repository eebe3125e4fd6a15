"""Implements ``sdcpp-rest cluster``, which starts a Ray cluster on this machine, joins one, leaves it, and shows what a
server has of it.

Thin: Ray's own command does the work (`ray_start`). Ray is imported nowhere here.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sdcpp_rest.cli.command_options import config_options, echo_json, json_option, server_options

if TYPE_CHECKING:
    from sdcpp_rest.cli.cluster_membership import Membership
    from sdcpp_rest.cli.ray_start import RayStart
    from sdcpp_rest.cli.running_server import RunningServer
    from sdcpp_rest.config import Config

_Command = TypeVar("_Command", bound=Callable[..., Any])
_MOST_ENGINES = 64


@click.group()
def cluster() -> None:
    """Engines on other machines: start a Ray cluster, join it, leave it, look at it (docs/cluster.md)."""


def _start_options(command: _Command) -> _Command:
    options: tuple[Callable[[_Command], _Command], ...] = (
        click.argument("ray_options", nargs=-1, type=click.UNPROCESSED, metavar="[-- RAY_OPTIONS]"),
        click.option("--name", help="What this machine is called in the cluster; default: its host name."),
        click.option("--host", default="", help="This machine's address for the other nodes; default: Ray's choice."),
    )
    for option in options:
        command = option(command)
    return command


@cluster.command("start-head")
@click.option("--port", type=click.IntRange(1, 65535), default=6379, show_default=True, help="Where nodes join.")
@click.option("--dashboard/--no-dashboard", default=False, show_default=True, help="Ray's own page about the cluster.")
@click.option(
    "--engines",
    type=click.IntRange(0, _MOST_ENGINES),
    default=0,
    show_default=True,
    help="Engines that this machine offers to the cluster; a server here has its own without that.",
)
@_start_options
@config_options
def start_head(
    port: int,
    dashboard: bool,
    engines: int,
    name: str | None,
    host: str,
    ray_options: tuple[str, ...],
    config_file: Path | None,
    overrides: tuple[str, ...],
    **folders: Path | None,
) -> None:
    """Start the head of a cluster on this machine, which other machines join.

    Makes the cluster's token if the data folder has none (cluster.token): who has it may run programs on every node.
    Options behind -- go to `ray start` as they are.
    """
    from sdcpp_rest.cli.cluster_membership import ensure_token
    from sdcpp_rest.cli.ray_start import RayStart, check_host, check_port
    from sdcpp_rest.config import load_config
    from sdcpp_rest.groups.cluster_group import token_file

    _check_ray(ray_options)
    check_host(host)
    config = load_config(config_file, overrides, **folders)
    node = _node_of(config, name)
    _refuse_second(config)
    check_port(host, port)
    token = token_file(config)
    ensure_token(token)
    gpus = _count_gpus(config) if engines else 0
    address = _start(
        config,
        RayStart(
            **node, host=host, port=port, engines=engines, gpus=min(gpus, engines), has_dashboard=dashboard,
            token_file=token, more=ray_options,
        ),
    )  # fmt: skip
    click.echo(f"The head runs at {address}; its token is in {token}")
    click.echo(f"Others join with a copy of it: sdcpp-rest cluster join {address} --token-file FILE")
    click.echo(f"A server uses it with: sdcpp-rest serve --cluster {address}   (`sdcpp-rest cluster stop` ends it)")


@cluster.command()
@click.argument("address", metavar="HOST:PORT")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A copy of the head's cluster.token; default: cluster.token in the data folder.",
)
@click.option(
    "--engines",
    type=click.IntRange(1, _MOST_ENGINES),
    help="Engines that this machine offers; default: one for each GPU that the library sees, one on a machine without.",
)
@_start_options
@config_options
def join(
    address: str,
    token_file: Path | None,
    engines: int | None,
    name: str | None,
    host: str,
    ray_options: tuple[str, ...],
    config_file: Path | None,
    overrides: tuple[str, ...],
    **folders: Path | None,
) -> None:
    """Offer this machine's engines to the cluster whose head is at HOST:PORT.

    Model files are read from this machine's own folder of models, where they lie as they do at the server.
    Options behind -- go to `ray start` as they are.
    """
    from sdcpp_rest.cli.ray_start import RayStart, check_head, check_host, is_loopback, split_address, with_host
    from sdcpp_rest.config import load_config
    from sdcpp_rest.groups.cluster_group import token_file as own_token_file

    _check_ray(ray_options)
    head, port = split_address(address)
    check_host(host)
    config = load_config(config_file, overrides, **folders)
    node = _node_of(config, name)
    _refuse_second(config)
    own = own_token_file(config)
    token = token_file or (own if own.is_file() else None)
    if token is None and not is_loopback(head):
        raise click.ClickException(
            f"A cluster on {head} needs its token: copy the head's cluster.token to {own}, or name it with --token-file"
        )
    check_head(head, port)
    gpus = _count_gpus(config)
    offered = engines or gpus or 1
    start = RayStart(
        **node, address=address, host=host, engines=offered, gpus=min(gpus, offered),
        token_file=token.absolute() if token is not None else None, more=ray_options,
    )  # fmt: skip
    _start(config, with_host(start))
    click.echo(f"{start.name} has joined {address} with {_count(offered, 'engine')}")
    click.echo(f"Models are read from {config.paths.models_dir}; `sdcpp-rest cluster stop` leaves")


@cluster.command()
@config_options
def stop(config_file: Path | None, overrides: tuple[str, ...], **folders: Path | None) -> None:
    """Leave the cluster, or end its head: ends what start-head or join has started with this data folder.

    Other Ray processes of this machine stay.
    """
    from sdcpp_rest.cli.cluster_membership import end_processes, forget_membership, read_membership
    from sdcpp_rest.config import load_config

    data_dir = load_config(config_file, overrides, **folders).paths.data_dir
    membership = read_membership(data_dir)
    if membership is None:
        click.echo("Nothing to stop: this machine is part of no cluster")
        return
    ended = end_processes(membership.mark)
    forget_membership(data_dir)
    what = "The head of" if membership.role == "head" else f"{membership.name} has left"
    done = "is stopped" if membership.role == "head" else ""
    click.echo(f"{what} {membership.address} {done}".rstrip() + f" ({_count(ended, 'process', 'processes')} ended)")


@cluster.command()
@json_option
@server_options
@config_options
def status(
    as_json: bool,
    url: str | None,
    api_key: str | None,
    config_file: Path | None,
    overrides: tuple[str, ...],
    **folders: Path | None,
) -> None:
    """Show what this machine has started of a cluster, and which engines and nodes a running server has."""
    from sdcpp_rest.cli.cluster_membership import find_processes, read_membership
    from sdcpp_rest.config import load_config

    config = load_config(config_file, overrides, **folders)
    membership = read_membership(config.paths.data_dir)
    is_running = membership is not None and bool(find_processes(membership.mark))
    answer = _ask_server(config, url, api_key)
    if answer is None and membership is None:
        raise click.ClickException(
            "No server runs with this data folder, and this machine is part of no cluster; --url asks another server"
        )
    if as_json:
        here = {**asdict(membership), "is_running": is_running} if membership is not None else None
        if here is not None:
            del here["mark"]
        told = answer or {}
        echo_json({"here": here, "engines": told.get("engines"), "cluster": told.get("cluster")})
        return
    if membership is not None:
        _tell_membership(membership, is_running)
    if answer is not None:
        _tell_server(answer)


@cluster.command()
@click.argument("node", metavar="NODE")
@server_options
@config_options
def drain(node: str, url: str | None, api_key: str | None, **where: Any) -> None:
    """Have the running server give NODE no more jobs; those that it has are finished.

    Stays so, also when the server is started again, until `resume`.
    """
    with _server(url, api_key, **where) as server:
        told = server.client.drain_node(node)
    click.echo(f"node      {_describe_node(told)}")


@cluster.command()
@click.argument("node", metavar="NODE")
@server_options
@config_options
def resume(node: str, url: str | None, api_key: str | None, **where: Any) -> None:
    """Have the running server use NODE again, which was drained."""
    with _server(url, api_key, **where) as server:
        told = server.client.resume_node(node)
    click.echo(f"node      {_describe_node(told)}")


@cluster.command()
@click.argument("engine", metavar="ENGINE")
@click.option(
    "--tail", type=click.IntRange(1, 5000), default=200, show_default=True, help="How many of the last lines."
)
@server_options
@config_options
def log(engine: str, tail: int, url: str | None, api_key: str | None, **where: Any) -> None:
    """Show the last lines of the log of ENGINE (box1:0), which the running server asks its machine for.

    Also of an engine of the server's own machine.
    """
    with _server(url, api_key, **where) as server:
        told = server.client.show_engine_log(engine=engine, tail=tail)
    for line in told["lines"]:
        click.echo(line)


def _check_ray(options: tuple[str, ...]) -> None:
    """Raises ClickException where Ray is not installed, or is to stay in the foreground."""
    from sdcpp_rest.cli.ray_start import HINT, is_installed

    if not is_installed():
        raise click.ClickException(HINT)
    if "--block" in options:
        raise click.ClickException("--block is not possible: Ray's processes go on in the background")


def _node_of(config: Config, name: str | None) -> dict[str, Any]:
    """What a start says of this machine. Raises ClickException for a name that Ray cannot have as a label."""
    from sdcpp_rest.cli.cluster_membership import make_mark
    from sdcpp_rest.cli.ray_start import NAME_PATTERN
    from sdcpp_rest.engine.remote.node_settings import NodeSettings
    from sdcpp_rest.runtime import DEMO_ROOT

    called = name if name is not None else socket.gethostname()
    if not NAME_PATTERN.match(called):
        raise click.ClickException(f"--name {called}: letters, digits, dots, underscores and hyphens are allowed")
    roots = {"models": str(config.paths.models_dir.absolute()), "demo": str(DEMO_ROOT)}
    return {
        "settings": NodeSettings(str(config.paths.data_dir.absolute()), roots),
        "name": called,
        "mark": make_mark(),
    }


def _refuse_second(config: Config) -> None:
    from sdcpp_rest.cli.cluster_membership import find_processes, read_membership

    membership = read_membership(config.paths.data_dir)
    if membership is not None and find_processes(membership.mark):
        raise click.ClickException(
            f"This machine is part of the cluster at {membership.address} already ({membership.role}); "
            "`sdcpp-rest cluster stop` leaves it"
        )


def _count_gpus(config: Config) -> int:
    """How many GPUs an engine here sees. Raises EngineUnavailable where none starts: such a node would be of no use."""
    from sdcpp_rest.cli.engine_probe import probe_engine

    return sum(device.is_gpu for device in probe_engine(config).devices)


def _start(config: Config, start: RayStart) -> str:
    """Start it and remember it; what a failed start leaves behind is ended. Returns the head's address."""
    from sdcpp_rest.cli.cluster_membership import Membership, end_processes, write_membership
    from sdcpp_rest.cli.ray_start import start_ray

    config.paths.data_dir.mkdir(parents=True, exist_ok=True)
    role = "node" if start.address else "head"
    with contextlib.ExitStack() as undone:
        undone.callback(end_processes, start.mark)
        address = start_ray(start)
        write_membership(config.paths.data_dir, Membership(role, address, start.name, start.engines, start.mark))
        undone.pop_all()
    return address


def _ask_server(config: Config, url: str | None, key: str | None) -> Mapping[str, Any] | None:
    """The answer of ``GET /engines``; none where no server of ours runs. Raises ClickException."""
    from sdcpp_rest.cli.running_server import running_server

    found = url or running_server(config)
    if found is None:
        return None
    with _open_server(config, url, found, key) as server:
        return server.client.show_engines()


def _server(
    url: str | None, key: str | None, config_file: Path | None, overrides: tuple[str, ...], **folders: Path | None
) -> AbstractContextManager[RunningServer]:
    """The running server, for one question. Raises ClickException where none runs."""
    from sdcpp_rest.cli.running_server import running_server
    from sdcpp_rest.config import load_config

    config = load_config(config_file, overrides, **folders)
    found = url or running_server(config)
    if found is None:
        raise click.ClickException("No server runs with this data folder; --url asks another server")
    return _open_server(config, url, found, key)


@contextlib.contextmanager
def _open_server(config: Config, url: str | None, found: str, key: str | None) -> Iterator[RunningServer]:
    from sdcpp_rest.cli.running_server import RunningServer

    # Only for our own server: a secret of the configuration is not shown to any other.
    own_key = config.auth.own_key if url is None else None
    with contextlib.closing(RunningServer(found, key or own_key)) as server, server.plain_refusals():
        yield server


def _tell_membership(membership: Membership, is_running: bool) -> None:
    offered = _count(membership.engines, "engine")
    state = "runs" if is_running else "has ended; `sdcpp-rest cluster stop` forgets it"
    click.echo(f"here      {membership.role} of {membership.address}, called {membership.name}, {offered}: {state}")


def _tell_server(answer: Mapping[str, Any]) -> None:
    told = answer.get("cluster")
    if told:
        state = "is connected" if told.get("is_connected") else f"is not connected: {told.get('trouble')}"
        click.echo(f"cluster   {told.get('address')} {state}")
        for node in told.get("nodes") or ():
            click.echo(f"node      {_describe_node(node)}")
    for engine in answer["engines"]:
        click.echo(f"engine    {engine['name'] or engine['device'] or 'the only one'}: {engine['state']}")
    if not answer["engines"]:
        click.echo(f"engine    none: {answer.get('why')}")


def _describe_node(node: Mapping[str, Any]) -> str:
    if not node.get("address"):
        return f"{node.get('name')}: {node.get('fault')}"
    text = f"{node.get('name')} ({node.get('address')}), {_count(node.get('engines', 0), 'engine')}"
    if node.get("gpus"):
        text += f", {_count(node['gpus'], 'GPU')}"
    if node.get("fault"):
        return f"{text}: not used, {node['fault']}"
    return f"{text}: leaves, and finishes what it has begun" if node.get("is_draining") else text


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
