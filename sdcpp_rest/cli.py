"""The command line: every command of ``sdcpp-rest``. Imports are made inside the commands: ``--help`` is quick."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sdcpp_rest.errors import SdcppRestError

if TYPE_CHECKING:
    from sdcpp_rest.config import Config

_Command = TypeVar("_Command", bound=Callable[..., Any])


class _Group(click.Group):
    """Turns our errors into one sentence and exit code 1, instead of a traceback."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except SdcppRestError as error:
            raise click.ClickException(error.message) from None
        except OSError as error:
            raise click.ClickException(str(error)) from None


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="sdcpp-rest", prog_name="sdcpp-rest")
def main() -> None:
    """A REST picture server on top of stable-diffusion.cpp."""


def _config_options(command: _Command) -> _Command:
    """The options that say where configuration and folders are."""
    for option in reversed(
        (
            click.option("--config", "config_file", type=click.Path(path_type=Path), help="A TOML file of settings."),
            click.option(
                "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="One setting, e.g. server.port=9000."
            ),
            click.option("--data-dir", type=click.Path(path_type=Path), help="Database, logs, inputs."),
            click.option("--models-dir", type=click.Path(path_type=Path), help="Model files, one sub-folder per type."),
            click.option("--output-dir", type=click.Path(path_type=Path), help="Finished pictures."),
        )
    ):
        command = option(command)
    return command


# --- serve ------------------------------------------------------------------------------------------------------------


@main.command()
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=int, help="Port for HTTP and /ws.")
@click.option("--ws-port", type=int, help="Second port, for WebSockets alone; 0 for none.")
@click.option(
    "--allow-public-without-auth", is_flag=True, default=None, help="Serve a public address without API keys."
)
@_config_options
def serve(config_file: Path | None, overrides: tuple[str, ...], **options: Any) -> None:
    """Run the server until Ctrl-C."""
    from sdcpp_rest.config import load_config
    from sdcpp_rest.runtime import Runtime
    from sdcpp_rest.serving import serve as serve_runtime

    config = load_config(config_file, overrides, **options)
    _log_to_stderr(logging.INFO)
    code = serve_runtime(Runtime(config))
    # Everything is stopped and closed. Only a view that is stuck (a download nobody reads) may still hold its thread,
    # and the interpreter would wait for it for ever.
    logging.shutdown()
    os._exit(code)


# --- generate ---------------------------------------------------------------------------------------------------------


@main.command()
@click.argument("prompt")
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("out.png"), show_default=True,
              help="Where to save; further pictures of a batch get _1, _2, ...")  # fmt: skip
@click.option("--model", help="Model to use, if not the selected one.")
@click.option("--negative", "negative_prompt", help="What should not be in the picture.")
@click.option("--width", type=int)
@click.option("--height", type=int)
@click.option("--steps", type=int)
@click.option("--cfg-scale", type=float)
@click.option("--seed", type=int, help="-1 for a random one.")
@click.option("--sampler")
@click.option("--scheduler")
@click.option("--batch-count", type=int)
@click.option("--url", help="Server to use; default: ours if it runs, else an engine of this command's own.")
@click.option("--api-key", envvar="SDCPP_REST_API_KEY", help="Key for a server that asks for one.")
@_config_options
def generate(
    prompt: str,
    output: Path,
    model: str | None,
    url: str | None,
    api_key: str | None,
    config_file: Path | None,
    overrides: tuple[str, ...],
    data_dir: Path | None,
    models_dir: Path | None,
    output_dir: Path | None,
    **fields: Any,
) -> None:
    """Draw PROMPT and save the picture."""
    from sdcpp_rest.config import load_config

    folders = {"data_dir": data_dir, "models_dir": models_dir, "output_dir": output_dir}
    config = load_config(config_file, overrides, **folders)
    body = {"prompt": prompt, **{name: value for name, value in fields.items() if value is not None}}
    url = url or _running_server(config)
    if url is not None:
        keys = config.auth.api_keys
        pictures = _generate_remotely(url, api_key or (keys[0].get_secret_value() if keys else None), body, model)
    else:
        pictures = _generate_here(config, body, model)
    for k, picture in enumerate(pictures):
        path = output if k == 0 else output.with_name(f"{output.stem}_{k}{output.suffix}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture)
        click.echo(f"saved {path}")


def _running_server(config: Config) -> str | None:
    """The URL of the server that holds this data folder, if it answers."""
    import requests

    try:
        found = json.loads((config.paths.data_dir / "server.json").read_text(encoding="utf-8"))
        url = str(found["url"])
        requests.get(f"{url}/health", timeout=2).raise_for_status()
    except (OSError, ValueError, KeyError, requests.RequestException):
        return None
    return url


def _generate_remotely(url: str, key: str | None, body: dict[str, Any], model: str | None) -> list[bytes]:
    import requests

    session = requests.Session()
    if key:
        session.headers["Authorization"] = f"Bearer {key.rpartition(':')[2]}"

    def call(method: str, path: str, **arguments: Any) -> requests.Response:
        try:
            response = session.request(method, url.rstrip("/") + path, timeout=(5, None), **arguments)
        except requests.RequestException as error:
            raise click.ClickException(f"The server at {url} does not answer: {error}") from None
        if not response.ok:
            try:
                message = response.json()["error"]
            except (ValueError, KeyError):
                message = f"HTTP {response.status_code}"
            raise click.ClickException(f"{message} (from {url})")
        return response

    if model:
        call("POST", "/models/load", json={"model_name": model})
    submitted = call("POST", "/txt2img", json=body).json()
    for warning in submitted.get("warnings", []):
        click.echo(f"warning: {warning}", err=True)
    job_id = submitted["job_id"]
    try:
        with _progress_bar() as show:
            while True:
                job = call("GET", f"/queue/{job_id}").json()
                show(job["progress"]["percentage"], job["progress"].get("phase", ""))
                if job["status"] in ("completed", "failed", "cancelled"):
                    break
                time.sleep(0.1)
    except KeyboardInterrupt:
        call("DELETE", f"/queue/{job_id}")
        raise click.Abort from None
    if job["status"] != "completed":
        raise click.ClickException(f"The job {job['status']}: {job.get('error', 'no reason given')}")
    return [call("GET", f"/output/{path}").content for path in job["outputs"]]


def _generate_here(config: Config, body: dict[str, Any], model: str | None) -> list[bytes]:
    """The same path as the server's, without sockets, on a data folder that is thrown away."""
    from sdcpp_rest.errors import GenerationFailed, WaitTimeout
    from sdcpp_rest.runtime import Runtime
    from sdcpp_rest.services.model_library import LoadRequest

    with tempfile.TemporaryDirectory(prefix="sdcpp-rest-") as folder:
        paths = config.paths.model_copy(
            update={"data_dir": Path(folder), "output_dir": Path(folder) / "output", "log_dir": Path(folder) / "logs"}
        )
        runtime = Runtime(config.model_copy(update={"paths": paths}))
        runtime.start()
        try:
            click.echo("starting an engine of its own (no server is running here)", err=True)
            outcome = runtime.models.load(LoadRequest(model_name=model or runtime.default_model))
            job, _ = runtime.submission.picture("txt2img", body, origin="cli", warnings=outcome.warnings)
            for warning in job.warnings:
                click.echo(f"warning: {warning}", err=True)
            with _progress_bar() as show:
                while True:
                    with contextlib.suppress(WaitTimeout):
                        job = runtime.queue.wait(job.id, 0.1)
                        break
                    progress = runtime.queue.progress(runtime.queue.get(job.id))
                    show(progress.percentage, progress.phase)
                show(100.0, "done")
            if job.status != "completed":
                raise GenerationFailed(f"The job {job.status}: {job.error}")
            return [runtime.outputs.path_of(path).read_bytes() for path in job.outputs]
        finally:
            runtime.stop()


@contextlib.contextmanager
def _progress_bar() -> Iterator[Callable[[float, str], None]]:
    """Yields ``show(percentage, phase)``; draws nothing when stderr is not a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:>12}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("queued", total=100.0)
        yield lambda percentage, phase: progress.update(bar, completed=percentage, description=phase)


# --- doctor, native ---------------------------------------------------------------------------------------------------


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(as_json: bool) -> None:
    """Say what the native library can do on this machine, and what could be better."""
    from sdcpp_rest.engine.client import EngineClient, ProcessLauncher
    from sdcpp_rest.engine.worker import WorkerOptions
    from sdcpp_rest.native import build
    from sdcpp_rest.native.devices import unused_gpu

    with tempfile.TemporaryDirectory(prefix="sdcpp-rest-") as folder:
        # In a process of its own: a library that cannot be loaded must not take the doctor with it.
        log_path = Path(folder) / "engine.log"
        client = EngineClient(ProcessLauncher(WorkerOptions(log_path=str(log_path), last_words_path=f"{folder}/words")))
        try:
            ready = client.wait_ready(60)
        finally:
            client.stop(5)
    reason = build.reason_to_build()
    rebuild = f"{reason}: run `sdcpp-rest native build`" if reason else None
    advice = [sentence for sentence in (unused_gpu(ready.devices), rebuild) if sentence]
    if as_json:
        click.echo(json.dumps({**ready.model_dump(mode="json"), "advice": advice}, indent=2))
        return
    click.echo(f"library   stable-diffusion.cpp by stable-diffusion-cpp-python {ready.library_version}"
               + (f", commit {ready.library_commit}" if ready.library_commit else ""))  # fmt: skip
    click.echo(f"backend   {ready.backend}")
    click.echo(f"features  {' '.join(ready.features)}")
    for device in ready.devices:
        memory = f"{device.free_bytes / 2**30:.1f} of {device.total_bytes / 2**30:.1f} GiB free"
        click.echo(f"device    {device.name}: {device.description} ({device.backend}), {memory}")
    for sentence in advice:
        click.echo(f"advice    {sentence}")
    if not advice:
        click.echo("advice    none: this build is right for this machine")


@main.group()
def native() -> None:
    """Build the native library."""


@native.command("build")
@click.option("--force", is_flag=True, help="Also when it is up to date.")
def native_build(force: bool) -> None:
    """Build stable-diffusion.cpp with the right flags, and those of CMAKE_ARGS (such as -DSD_CUDA=ON)."""
    from sdcpp_rest.native import build

    try:
        build.build(force=force, log=click.echo)
    except build.BuildError as error:
        raise click.ClickException(str(error)) from None


# --- models, inspect --------------------------------------------------------------------------------------------------


@main.command()
@click.option("--type", "model_type", help="Only this type, such as lora.")
@click.option("--search", help="Only names with this text in them.")
@_config_options
def models(
    model_type: str | None, search: str | None, config_file: Path | None, overrides: tuple[str, ...], **folders: Any
) -> None:
    """List the model files that the server would see."""
    from sdcpp_rest.config import load_config
    from sdcpp_rest.runtime import open_library

    config = load_config(config_file, overrides, **folders)
    lists = open_library(config).list(type=model_type, search=search)
    files = [file for found in lists.values() for file in found]
    if not files:
        click.echo(f"no model files below {config.paths.models_dir}")
    width = max((len(file.name) for file in files), default=0)
    for file in files:
        click.echo(f"{file.type:11} {file.name:{width}}  {_size(file.size_bytes):>10}")


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--tensors", is_flag=True, help="List every tensor as well.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def inspect(file: Path, tensors: bool, as_json: bool) -> None:
    """Say what is in a model FILE, from its header alone."""
    from sdcpp_rest.services.inspection import inspect_file

    found = inspect_file(file)
    shapes = {name: list(shape) for name, shape in found.tensors.items()}
    if as_json:
        facts: dict[str, Any] = {
            "format": found.format,
            "contents": found.contents,
            "architecture": found.architecture.name if found.architecture else None,
            "size_bytes": file.stat().st_size,
            "tensor_count": found.tensor_count,
            "parameter_count": found.parameter_count,
            "types": dict(found.types),
            "metadata": dict(found.metadata),
            "warnings": list(found.warnings),
        }
        click.echo(json.dumps(facts | ({"tensors": shapes} if tensors else {}), indent=2))
        return
    click.echo(f"file          {file} ({_size(file.stat().st_size)}, {found.format})")
    click.echo(f"contents      {found.contents}")
    click.echo(f"architecture  {found.architecture.name if found.architecture else 'not recognised'}")
    click.echo(f"parameters    {found.parameter_count:,} in {found.tensor_count} tensors")
    for name, count in sorted(found.types.items(), key=lambda entry: -entry[1]):
        click.echo(f"  {name:10} {count:6} tensors")
    for name, value in found.metadata.items():
        click.echo(f"metadata      {name} = {str(value)[:100]}")
    for sentence in found.warnings:
        click.echo(f"warning       {sentence}")
    if tensors:
        for name, shape in shapes.items():
            click.echo(f"  {name}  {'x'.join(map(str, shape))}")


def _size(count: int) -> str:
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"


# --- bench ------------------------------------------------------------------------------------------------------------


@main.command()
@click.option("--steps", type=click.IntRange(1, 200), default=12, show_default=True, help="Steps of each picture.")
@click.option(
    "--runs", type=click.IntRange(1, 50), default=3, show_default=True, help="Pictures per number of threads."
)
def bench(steps: int, runs: int) -> None:
    """Say how many CPU threads draw fastest on this machine, now.

    Draws with the demo model on 1, 2, 4 and so on, up to the number of physical cores.
    """
    import statistics

    import psutil

    cores = psutil.cpu_count(logical=False) or 1
    counts = sorted({1, cores, *(2**k for k in range(1, cores.bit_length()) if 2**k < cores)})
    medians: dict[int, float] = {}
    for count in counts:
        seconds = _native_seconds(count, steps, runs)
        medians[count] = statistics.median(seconds)
        click.echo(
            f"{count:3} threads   {medians[count]:7.3f} s per picture   {steps / medians[count]:6.1f} steps/s   "
            f"{medians[count] / medians[counts[0]]:.2f} x one thread"
        )
    best = min(medians, key=lambda count: medians[count])
    click.echo(f"best here: engine.n_threads = {best}" + (" (the default)" if best == cores else ""))


def _native_seconds(n_threads: int, steps: int, runs: int) -> list[float]:
    """Seconds inside the library for ``runs`` pictures of the demo model, after one that does not count."""
    from sdcpp_rest.config import load_config
    from sdcpp_rest.runtime import DEMO_MODEL, Runtime
    from sdcpp_rest.services.model_library import LoadRequest

    with tempfile.TemporaryDirectory(prefix="sdcpp-rest-") as folder:
        config = load_config(
            data_dir=Path(folder),
            output_dir=Path(folder) / "output",
            log_dir=Path(folder) / "logs",
            n_threads=n_threads,
        )
        runtime = Runtime(config)
        runtime.start()
        try:
            runtime.models.load(LoadRequest(model_name=DEMO_MODEL))
            asked = {"prompt": "a red circle on a blue background", "width": 128, "height": 128, "steps": steps}
            jobs = [runtime.submission.picture("txt2img", asked, origin="cli")[0] for _ in range(runs + 1)]
            return [runtime.queue.wait(job.id).timings.native_seconds for job in jobs][1:]
        finally:
            runtime.stop()


# --- config -----------------------------------------------------------------------------------------------------------


@main.command()
@click.option("--example", is_flag=True, help="Print config.example.toml: every setting with its description.")
@_config_options
def config(example: bool, config_file: Path | None, overrides: tuple[str, ...], **folders: Any) -> None:
    """Print the configuration that a server started here would have."""
    from sdcpp_rest.config import Config, load_config

    if example:
        click.echo(Config.example_toml(), nl=False)
        return
    found = load_config(config_file, overrides, **folders)
    click.echo(json.dumps(found.model_dump(mode="json"), indent=2))


# --- routes -----------------------------------------------------------------------------------------------------------


@main.command()
def routes() -> None:
    """Print every route: method, URL, file:line."""
    from sdcpp_rest.app import create_app, route_table

    rows = route_table(create_app(None))
    width = max(len(row.url) for row in rows)
    for row in rows:
        click.echo(f"{row.method:7} {row.url:{width}}  {row.file}:{row.line}")


# --- openapi ----------------------------------------------------------------------------------------------------------


@main.command()
@click.option("-o", "--output", type=click.Path(path_type=Path), help="A file instead of standard output.")
def openapi(output: Path | None) -> None:
    """Print the API's OpenAPI 3.1 document; no server is needed."""
    from sdcpp_rest.app import create_app
    from sdcpp_rest.config import load_config
    from sdcpp_rest.routes.openapi import document
    from sdcpp_rest.runtime import VERSION

    text = json.dumps(document(create_app(None), VERSION, load_config().limits), indent=2, ensure_ascii=False) + "\n"
    if output is None:
        click.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")


def _log_to_stderr(level: int) -> None:
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    if os.environ.get("SDCPP_REST_DEBUG"):
        logging.getLogger().setLevel(logging.DEBUG)
