"""Lists the image history as SwarmUI's page has it: folders, files with their texts, starred ones in a folder of
their own.

Knows names and jobs; must not know requests.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from sdcpp_rest.core.named_picture import NamedPicture
from sdcpp_rest.errors import InvalidRequest
from sdcpp_rest.routes.swarmui import metadata
from sdcpp_rest.routes.swarmui.history_paths import STARRED, spell_name
from sdcpp_rest.services.jobs.picture_history import PictureHistory

MOST_FILES = 1000
_MOST_NAMES = 100_000
_KEPT_TEXTS = 4 * MOST_FILES
_SORTS = ("Name", "Date")


def list_history(
    history: PictureHistory, folder: str, depth: int, sort_by: str, is_reversed: bool, version: str
) -> dict[str, Any]:
    """``folders`` and ``files`` below ``folder`` (cleaned; empty: the root), to ``depth`` levels.

    The newest name comes first. Raises InvalidRequest for an unknown order, and for a folder that is not there.
    """
    if sort_by not in _SORTS:
        raise InvalidRequest(f"Invalid sort mode '{sort_by[:40]}'.", field="sortBy")
    history.name_all(spell_name)
    prefix = f"{folder}/" if folder else ""
    # They come by name, the last one first, and a star changes nothing about that.
    below = [(_shown_path(one), one) for one in history.list_below("", _MOST_NAMES)]
    if prefix:
        below = [(path.removeprefix(prefix), one) for path, one in below if path.startswith(prefix)]
    if folder and not below:
        raise InvalidRequest("404, path not found.", field="path")
    ordered = reversed(below) if is_reversed else below
    levels = max(1, depth)
    files = list(islice((found for found in ordered if found[0].count("/") < levels), MOST_FILES))
    texts = _read_texts(history, [one.job_id for _, one in files], version)
    return {
        "folders": _folders((path for path, _ in below), depth),
        "files": [
            {"src": path, "metadata": _add_star(texts[one.job_id]) if one.is_starred else texts[one.job_id]}
            for path, one in files
            if one.job_id in texts
        ],
    }


def _shown_path(one: NamedPicture) -> str:
    """A picture that is starred is listed as its copy alone."""
    return STARRED + one.path if one.is_starred else one.path


def _folders(paths: Iterable[str], depth: int) -> Sequence[str]:
    found: set[str] = set()
    for folder in {path.rpartition("/")[0] for path in paths}:
        parts = folder.split("/")[: max(0, depth)] if folder else []
        found.update("/".join(parts[:level]) for level in range(1, len(parts) + 1))
    return sorted(found, reverse=True)


_texts: OrderedDict[tuple[str, str], str] = OrderedDict()
_texts_lock = threading.Lock()
"""Of finished jobs, by id and version. They never change, and writing them is most of a listing's work."""


def _read_texts(history: PictureHistory, job_ids: Sequence[str], version: str) -> dict[str, str]:
    with _texts_lock:
        found = {job_id: _texts[job_id, version] for job_id in job_ids if (job_id, version) in _texts}
    missing = list(dict.fromkeys(job_id for job_id in job_ids if job_id not in found))
    written = {job_id: metadata.describe_job(job, version) for job_id, job in history.jobs_of(missing).items()}
    with _texts_lock:
        _texts.update({(job_id, version): text for job_id, text in written.items()})
        while len(_texts) > _KEPT_TEXTS:
            _texts.popitem(last=False)
    return found | written


def _add_star(text: str) -> str:
    found: Mapping[str, Any] = {"is_starred": True, **json.loads(text)}
    return json.dumps(found, indent=2)
