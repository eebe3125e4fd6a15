"""Sets up the server's log: on the terminal, and in ``server.log`` beside the engine's. Knows no request."""

from __future__ import annotations

import logging
import logging.handlers
import os
import sys

from sdcpp_rest.config import Config

LOG_FILE = "server.log"
_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

log = logging.getLogger(__name__)


def log_to_stderr(level: int = logging.INFO) -> None:
    """Write ``level`` and worse to the terminal; everything with ``SDCPP_REST_DEBUG`` set."""
    level = logging.DEBUG if os.environ.get("SDCPP_REST_DEBUG") else level
    logging.basicConfig(level=level, format=_FORMAT, stream=sys.stderr)


def log_to_file(config: Config) -> logging.Handler | None:
    """Write the same to ``server.log`` in ``paths.log_dir``, and begin a new one when it is full. Call it when the data
    folder is this process's own. A file that cannot be written is a warning: the terminal still has everything."""
    path = config.paths.log_dir / LOG_FILE
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = logging.handlers.RotatingFileHandler(
            path, maxBytes=config.server.log_max_bytes, backupCount=1, encoding="utf-8", errors="backslashreplace"
        )
    except OSError as error:
        log.warning("%s cannot be written: %s", path, error.strerror or error)
        return None
    file.setFormatter(logging.Formatter(_FORMAT))
    logging.getLogger().addHandler(file)
    return file
