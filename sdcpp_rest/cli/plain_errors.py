"""Words what a command says when the system refuses something: one line with the file's name, no error number.

Knows click and the system's errors; knows no command.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator

import click

from sdcpp_rest.errors import SdcppRestError

READER_LEFT = 141
"""The exit code when nobody reads standard output any more: what shells show of a program that SIGPIPE ended."""


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """Turn our errors and the system's into one sentence and exit code 1, and a closed pipe into silence."""
    try:
        yield
    except SdcppRestError as error:
        raise click.ClickException(error.message) from None
    except BrokenPipeError:
        silence_stdout()
        raise click.exceptions.Exit(READER_LEFT) from None
    except OSError as error:
        raise click.ClickException(describe_os_error(error)) from None


def describe_os_error(error: OSError) -> str:
    """Say what is wrong with which file: ``a.png does not exist``."""
    if error.errno is None:
        return str(error)
    return f"{error.filename} {reason_of(error)}" if error.filename else f"The system says: {reason_of(error)}"


def reason_of(error: OSError) -> str:
    """Say what is wrong with a file, without its name: ``does not exist``."""
    if error.errno is None:
        return str(error)
    reasons = {
        errno.ENOENT: "does not exist",
        errno.EISDIR: "is a folder, not a file",
        errno.ENOTDIR: "has a file where a folder should be",
        errno.EACCES: "is not open to this user",
        errno.EPERM: "is not open to this user",
        errno.EROFS: "is on a disk that cannot be written to",
        errno.ENOSPC: "does not fit: no space is left on the disk",
        errno.EDQUOT: "does not fit: this user's share of the disk is used up",
        errno.ENAMETOOLONG: "has too long a name",
        errno.EPIPE: "is closed: nobody reads it any more",
    }
    return reasons.get(error.errno) or f"cannot be used: {error.strerror or errno.errorcode.get(error.errno, error)}"


def silence_stdout() -> None:
    """Let what is still to be written to standard output go nowhere: the interpreter's last flush would complain."""
    # Standard output may be no file at all where a program runs the commands.
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
