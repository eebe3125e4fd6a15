"""Looks up files at plain addresses: the name, size and mark that the server tells before the body.

Knows nothing of jobs.
"""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from sdcpp_rest.config import DownloadsConfig
from sdcpp_rest.core.download_source import DownloadSource, file_name_of
from sdcpp_rest.services.downloads.first_bytes import page_type
from sdcpp_rest.services.downloads.offered_file import OfferedFile, is_model_name
from sdcpp_rest.services.downloads.source_errors import SourceWrong
from sdcpp_rest.services.downloads.stop_switch import AddressRule

_ENCODED_NAME = re.compile(r"filename\*\s*=\s*(?:utf-8|UTF-8)''([^;\s]+)")
_PLAIN_NAME = re.compile(r'filename\s*=\s*(?:"([^"]*)"|([^;\s]+))', re.IGNORECASE)


class UrlSource:
    """Finds out the name and size of a file at a plain address.

    Thread-safe.
    """

    def __init__(self, config: DownloadsConfig, rule: AddressRule) -> None:
        self._config = config
        self._rule = rule

    def offer(self, wanted: DownloadSource) -> OfferedFile:
        """What the server says about the file. Raises HostRefused, HostUnknown, SourceForbidden, SourceNotFound,
        SourceUnavailable, SourceWrong."""
        from sdcpp_rest.services.downloads.checked_connection import CheckedSession, refusal

        config = self._config
        with CheckedSession(
            self._rule,
            config.connect_timeout_seconds,
            config.read_timeout_seconds,
            deadline_seconds=2 * config.read_timeout_seconds,
        ) as session:
            # Not a HEAD: many servers answer that one wrongly, and signed addresses are often good for GET only.
            answer = session.get(wanted.url, {})
            answer.close()
        if answer.status_code != 200:
            raise refusal(answer)
        found = page_type(answer.headers.get("Content-Type", ""))
        if found is not None:
            raise SourceWrong(f"The address leads to a page ({found}), not to a model file")
        length = answer.headers.get("Content-Length", "")
        told = disposition_name(answer.headers.get("Content-Disposition", ""))
        own, final = file_name_of(wanted.url), file_name_of(answer.url)
        names = [name for name in (told, own, final) if name]
        name = next((name for name in names if is_model_name(name)), names[0] if names else "")
        return OfferedFile(
            url=wanted.url,
            name=wanted.filename or name,
            about_bytes=int(length) if length.isascii() and length.isdigit() and len(length) < 19 else None,
            shown={"host": urlsplit(wanted.url).netloc},
        )


def disposition_name(header: str) -> str:
    """The file name in a Content-Disposition header, folders and all taken off; empty where there is none."""
    match = _ENCODED_NAME.search(header)
    if match is not None:
        name = unquote(match[1])
    else:
        match = _PLAIN_NAME.search(header)
        name = (match[1] or match[2] or "") if match is not None else ""
    return name.replace("\\", "/").rsplit("/", 1)[-1].strip()
