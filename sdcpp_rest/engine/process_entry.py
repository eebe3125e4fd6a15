"""Begins the engine's process: cuts it off from the terminal, takes its end of the pipe, waits to be told what it is.

Standard input is the pipe. Python and the modules of the worker are loaded before the server has read its own settings;
what depends on those comes as the first message. Knows nothing of the messages after it.
"""

from __future__ import annotations

import os
import signal
import socket
import sys

from sdcpp_rest.engine.pipe import Pipe

TERMINAL_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""What a terminal, or who stops the server, sends to every process of it: none of the engine's business."""


def main() -> None:
    """Entry point of the engine's process; never returns."""
    leave_terminal()
    # Nobody looks for plug-ins of pydantic's here, and looking reads the metadata of every package that is installed.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    pipe = take_pipe()

    from sdcpp_rest.engine import worker
    from sdcpp_rest.engine.worker_options import WorkerOptions

    worker.prepare()
    try:
        options = WorkerOptions.from_json(pipe.recv_bytes())
    except (EOFError, OSError):
        # The server has ended before it knew what it wanted: a bad setting, a folder that is another one's.
        os._exit(0)
    worker.main(pipe, options)


def leave_terminal() -> None:
    """Ignore what a terminal sends to all of its processes."""
    for number in TERMINAL_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        # Blocked by who started this process; what came in the meantime is ignored now.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, TERMINAL_SIGNALS)


def take_pipe() -> Pipe:
    """This process's end of the pipe to the server."""
    if sys.platform == "win32":
        return Pipe(socket.fromshare(sys.stdin.buffer.read()))
    end = socket.socket(fileno=os.dup(0))
    # Whatever reads from standard input must not read our messages.
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return Pipe(end)
