"""Starts the engine's process, which may be before anybody knows what engine it is to be.

Importing this is cheap, because a server does it first of all. Knows the process and its pipe; knows no message that
goes through it.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping

from sdcpp_rest.engine.pipe import Pipe
from sdcpp_rest.engine.process_entry import TERMINAL_SIGNALS
from sdcpp_rest.engine.worker_options import WorkerOptions

_PATIENCE_SECONDS = 5.0
# The arguments are our own paths of modules: the current folder, where Python would look first, may be anybody's.
_ENTRY = "import sys; sys.path[:] = sys.argv[1:]; from {} import main; main()"
ENGINE = "sdcpp_rest.engine.process_entry"


class EngineProcess:
    """Starts one process, which does nothing until `configure` and ends with the pipe: also when this process ends,
    however that happens. Raises OSError when the system starts none.

    Args:
        entry: the module whose ``main`` it runs.
        environment: its variables; ``None``: this process's.
    """

    def __init__(self, entry: str = ENGINE, environment: Mapping[str, str] | None = None) -> None:
        ours, theirs = socket.socketpair()
        try:
            with theirs, _signals_held_back():
                self._process = _start(theirs, entry, environment)
        except BaseException:
            ours.close()
            raise
        # Theirs is closed here: were a copy left in this process, its death would never read as end-of-file.
        self.pipe = Pipe(ours)
        self.pid = self._process.pid

    def configure(self, options: WorkerOptions) -> None:
        """Say what engine it is; before any other message, once."""
        # One that has died already is found out by who reads the pipe.
        with contextlib.suppress(OSError):
            self.pipe.send_bytes(options.to_json())

    @property
    def exit_code(self) -> int | None:
        """Negative: the signal that ended it; ``None`` while nobody has seen it end."""
        return self._process.returncode

    def wait_for_end(self, timeout_seconds: float) -> bool:
        """Wait for the end; whether it came."""
        try:
            self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def discard(self) -> None:
        """End it, if it has not ended, and wait until it is gone. For one that nobody wants."""
        self.kill()
        self.wait_for_end(_PATIENCE_SECONDS)


@contextlib.contextmanager
def early_process(is_wanted: bool = True) -> Iterator[EngineProcess | None]:
    """An engine's process that starts while this one goes on with its own start, and that is gone in the end, whatever
    has become of it. ``None`` where none is wanted, or where the system starts none: then it is tried again when the
    engine is needed, and told of there."""
    process = None
    with contextlib.suppress(OSError):
        process = EngineProcess() if is_wanted else None
    try:
        yield process
    finally:
        if process is not None:
            process.discard()


def _start(theirs: socket.socket, entry: str, environment: Mapping[str, str] | None) -> subprocess.Popen[bytes]:
    # A session of its own: Ctrl-C reaches every process of a terminal, but only the server decides when it ends.
    command = [sys.executable, "-c", _ENTRY.format(entry), *sys.path]
    if sys.platform == "win32":
        process = subprocess.Popen(command, stdin=subprocess.PIPE, env=environment)
        with process.stdin:
            process.stdin.write(theirs.share(process.pid))
        return process
    return subprocess.Popen(command, stdin=theirs.fileno(), start_new_session=True, env=environment)


@contextlib.contextmanager
def _signals_held_back() -> Iterator[None]:
    """Start children that no signal of the terminal reaches: they inherit what this thread blocks, until they say
    themselves what they ignore. An engine is some time away from saying so when Python starts, and a SIGTERM to the
    whole group of processes would end it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, TERMINAL_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
