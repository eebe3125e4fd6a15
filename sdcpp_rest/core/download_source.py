"""Recognises what people paste when they want a model: addresses of Hugging Face and CivitAI, ids, plain URLs.

Turns it into one of three kinds of source. Pure: looks nothing up, and never keeps a secret that stood in an address.

Turns it into one of three kinds of source. Pure: looks nothing up, and never keeps a secret that stood in an address.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from pydantic import Field

from sdcpp_rest.core.catalog import ModelType
from sdcpp_rest.core.frozen import Frozen
from sdcpp_rest.errors import InvalidRequest

SourceName = Literal["url", "civitai", "huggingface"]

MAX_ADDRESS_CHARACTERS = 4_096
_HIDDEN = "***"
_HUB_HOSTS = frozenset({"huggingface.co", "www.huggingface.co", "hf.co", "hf-mirror.com"})
_CIVITAI_HOSTS = frozenset({"civitai.com", "www.civitai.com", "civitai.red", "civitai.green"})
_REPO_PART = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_REPO = re.compile(rf"{_REPO_PART}/{_REPO_PART}")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}")
_NUMBER = re.compile(r"[0-9]{1,18}")
_MODEL_AND_VERSION = re.compile(r"(?P<model>[0-9]{1,18})(?:[:@](?P<version>[0-9]{1,18}))?")
_AIR = re.compile(
    r"(?:urn:)?(?:air:)?(?:[a-z0-9._-]+:)?(?:[a-z0-9._-]+:)?civitai:(?P<model>[0-9]{1,18})(?:@(?P<version>[0-9]{1,18}))?"
    r"(?:\.[a-z0-9]+)?",
    re.IGNORECASE,
)
_CIVITAI_PATHS = (
    (("api", "download", "models"), True),
    (("api", "v1", "model-versions"), True),
    (("api", "v1", "models"), False),
    (("model-versions",), True),
    (("models",), False),
)
"""What stands before the number in an address's path, and whether it is a version's."""
_SECRET = re.compile(
    r"token|key|secret|sign|signature|^sig$|credential|password|auth|policy|session|^jwt$", re.IGNORECASE
)


class DownloadSource(Frozen):
    """Where a model comes from.

    ``url`` is set for plain addresses; ``model_id`` and ``version_id`` (either may be missing, not both) for CivitAI;
    ``repo_id``, ``filename`` (empty: the repository's only model file) and ``revision`` for Hugging Face. For the other
    two ``filename`` is what the client calls the file.
    """

    source: SourceName
    url: str = ""
    model_id: str = ""
    version_id: str = ""
    repo_id: str = ""
    filename: str = ""
    revision: str = ""
    warnings: tuple[str, ...] = ()


class DownloadParams(Frozen):
    """The parameters of a ``model_download`` job: what was asked for, and what the source said about it.

    ``url`` is the address without its secrets. ``name`` is the file's name in the folder of its type. ``size_bytes``
    and ``sha256`` are what the source promises, where it does. ``revision`` is the commit, once it is known.
    """

    source: SourceName
    model_type: ModelType
    url: str
    name: str
    subfolder: str = ""
    overwrite: bool = False
    model_id: str = ""
    version_id: str = ""
    repo_id: str = ""
    filename: str = ""
    revision: str = ""
    licence: str = ""
    size_bytes: int | None = None
    sha256: str | None = None
    hash_job_id: str = ""

    @property
    def model_name(self) -> str:
        """The name under which `GET /models` will list it."""
        return f"{self.subfolder}/{self.name}" if self.subfolder else self.name


class HashParams(Frozen):
    """The parameters of a ``model_hash`` job. ``sha256`` is what the sum has to be, where that is known."""

    model_type: ModelType
    model_name: str
    download_job_id: str = ""
    sha256: str | None = Field(default=None)


def recognise_source(given: Mapping[str, Any], hub_host: str = "", civitai_host: str = "") -> DownloadSource:
    """The source that the fields of a request mean: ``source``, ``url``, ``model_id``, ``repo_id``, ``filename``,
    ``revision``, of which some are given.

    ``url`` may hold whatever people paste. ``hub_host`` and ``civitai_host`` (``name`` or ``name:port``) are the
    configured ones, recognised besides the public ones. Raises InvalidRequest naming the field.
    """
    named = given.get("source") or ""
    url, model_id, repo_id = (str(given.get(name) or "").strip() for name in ("url", "model_id", "repo_id"))
    filled = [name for name, value in (("url", url), ("model_id", model_id), ("repo_id", repo_id)) if value]
    found: DownloadSource
    if named == "url" or (not named and url and _is_plain(url, hub_host, civitai_host)):
        found = _plain(_require("url", url))
    elif named == "civitai" or (not named and model_id):
        found = _civitai_id(model_id) if model_id else _parse_pasted(_require("model_id", url), hub_host, civitai_host)
    elif named == "huggingface" or (not named and repo_id):
        found = (
            _parse_pasted(repo_id, hub_host, civitai_host)
            if repo_id
            else _parse_pasted(_require("repo_id", url), hub_host, civitai_host)
        )
    elif url:
        found = _parse_pasted(url, hub_host, civitai_host)
    else:
        raise InvalidRequest(
            "What to download is missing: give url, model_id (CivitAI) or repo_id with filename (Hugging Face)",
            field="url",
        )
    if named and found.source != named:
        raise InvalidRequest(
            f"source: this is an address of {found.source!r}, not of {named!r}", field="source", value=named
        )
    ignored = [
        name for name in filled if name not in _FIELDS_OF[found.source] and not (name == "url" and len(filled) == 1)
    ]
    update: dict[str, Any] = {"warnings": (*found.warnings, *(f"{name} was ignored" for name in ignored))}
    for name in ("filename", "revision"):
        value = str(given.get(name) or "").strip()
        if value and not getattr(found, name):
            update[name] = value
        elif value and value != getattr(found, name) and found.source == "huggingface":
            raise InvalidRequest(
                f"{name}: {value[:80]!r} is not what the address says ({getattr(found, name)[:80]!r})",
                field=name,
                value=value[:200],
            )
    return _check(found.model_copy(update=update))


_FIELDS_OF: dict[SourceName, tuple[str, ...]] = {
    "url": ("url",),
    "civitai": ("model_id", "url"),
    "huggingface": ("repo_id", "url"),
}


def hide_secrets(url: str) -> str:
    """The same address for people: values of its query that look like secrets are hidden."""
    parts = urlsplit(url)
    if not parts.query:
        return urlunsplit(parts._replace(fragment=""))
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    shown = urlencode([(name, _HIDDEN if _SECRET.search(name) else value) for name, value in pairs], safe="*/:")
    return urlunsplit(parts._replace(query=shown, fragment=""))


def check_address(url: str, field: str = "url") -> str:
    """An http(s) address without a fragment and without a user. Raises InvalidRequest."""
    text = url.strip()
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise _odd(field, text, "is not an address") from None
    if len(text) > MAX_ADDRESS_CHARACTERS or any(not one.isprintable() or one.isspace() for one in text):
        raise _odd(field, text, f"is longer than {MAX_ADDRESS_CHARACTERS} characters, or holds spaces")
    if parts.scheme.lower() not in ("http", "https"):
        raise _odd(field, text, "does not begin with http:// or https://")
    if not host or "\\" in text or port == 0:
        raise _odd(field, text, "names no host")
    if "@" in parts.netloc:
        # It would be stored and shown with the job.
        raise InvalidRequest(f"{field}: an address must not hold a user or a password", field=field)
    return urlunsplit(parts._replace(scheme=parts.scheme.lower(), fragment=""))


def repo_id_of(text: str) -> str:
    """``organisation/name``. Raises InvalidRequest."""
    repo = text.strip().strip("/")
    if not _REPO.fullmatch(repo) or ".." in repo or "--" in repo or repo.endswith((".git", ".")):
        raise InvalidRequest(
            f"repo_id: {text[:80]!r} is not of the form organisation/name", field="repo_id", value=text[:200]
        )
    return repo


def parse_model_and_version(text: str, field: str = "model_id") -> tuple[str, str]:
    """``123456`` or ``123456:789012`` (``@`` does as well) as two numbers, the second may be empty. InvalidRequest."""
    match = _MODEL_AND_VERSION.fullmatch(text.strip()) or _AIR.fullmatch(text.strip())
    if match is None:
        raise InvalidRequest(
            f"{field}: {text[:80]!r} is not a CivitAI model's number, as 123456 or 123456:789012",
            field=field,
            value=text[:200],
        )
    return match["model"], match["version"] or ""


def _require(field: str, value: str) -> str:
    if not value:
        raise InvalidRequest(f"{field} is required for this source", field=field)
    return value


def _is_plain(url: str, hub_host: str, civitai_host: str) -> bool:
    """Whether a pasted text is an address of neither of the two services."""
    if not re.match(r"https?://", url, re.IGNORECASE):
        return False
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").lower()
    except ValueError:
        return True
    return not (_is_hub(host, parts.netloc, hub_host) or _is_civitai(host, parts.netloc, civitai_host))


def _is_hub(host: str, netloc: str, own: str) -> bool:
    return host in _HUB_HOSTS or (own != "" and netloc.lower() == own.lower())


def _is_civitai(host: str, netloc: str, own: str) -> bool:
    return host in _CIVITAI_HOSTS or (own != "" and netloc.lower() == own.lower())


def _parse_pasted(text: str, hub_host: str, civitai_host: str) -> DownloadSource:
    if _AIR.fullmatch(text):
        return _civitai_id(text)
    if text.lower().startswith("hf://"):
        return _hub_words(text[5:])
    if re.match(r"(www\.)?(huggingface\.co|hf\.co|civitai\.com)/", text, re.IGNORECASE):
        text = f"https://{text}"
    if not re.match(r"[a-z][a-z0-9+.-]*://", text, re.IGNORECASE):
        if _MODEL_AND_VERSION.fullmatch(text):
            return _civitai_id(text)
        return _hub_words(text)
    parts = urlsplit(check_address(text))
    host = (parts.hostname or "").lower()
    if _is_civitai(host, parts.netloc, civitai_host):
        return _civitai_address(text)
    if _is_hub(host, parts.netloc, hub_host):
        return _hub_address(text)
    return _plain(text)


def _plain(text: str) -> DownloadSource:
    return DownloadSource(source="url", url=check_address(text))


def _hub_words(text: str) -> DownloadSource:
    """``organisation/name``, ``organisation/name@revision``, either with ``/path/of/file``."""
    parts = text.rstrip("/").split("/")
    name, _, revision = (parts[1] if len(parts) > 1 else "").partition("@")
    return DownloadSource(
        source="huggingface",
        repo_id=repo_id_of("/".join((parts[0], name))),
        revision=unquote(revision),
        filename="/".join(parts[2:]),
    )


def _hub_address(text: str) -> DownloadSource:
    """A page or a file: ``/org/name``, then ``tree``, ``blob``, ``resolve`` or ``raw``, a revision, and a path."""
    # The revision may be a pull request's, whose slashes are written as %2F: it is split before it is decoded.
    parts = [part for part in urlsplit(text).path.split("/") if part]
    if parts[:2] == ["api", "models"]:
        parts = parts[2:]
    if parts and parts[0] in ("datasets", "spaces", "collections", "papers", "docs", "buckets"):
        raise _odd("url", text, f"is a page of {parts[0]}; only model repositories are downloaded from")
    if len(parts) < 2:
        raise _odd("url", text, "does not name a repository (https://huggingface.co/organisation/name)")
    repo_id = repo_id_of("/".join(unquote(part) for part in parts[:2]))
    if len(parts) == 2:
        return DownloadSource(source="huggingface", repo_id=repo_id)
    if parts[2] not in ("tree", "blob", "resolve", "raw") or len(parts) < 4:
        if parts[2] in ("discussions", "commits", "commit", "settings", "tree", "blob"):
            return DownloadSource(source="huggingface", repo_id=repo_id)
        raise _odd("url", text, "is not a page of a repository's files")
    path = "/".join(unquote(part) for part in parts[4:])
    is_folder = parts[2] == "tree"
    return DownloadSource(
        source="huggingface",
        repo_id=repo_id,
        revision=unquote(parts[3]),
        filename="" if is_folder else path,
        warnings=(f"the folder {path!r} of the address was ignored",) if is_folder and path else (),
    )


def _civitai_id(text: str) -> DownloadSource:
    model, version = parse_model_and_version(text)
    return DownloadSource(source="civitai", model_id=model, version_id=version)


def _civitai_address(text: str) -> DownloadSource:
    parts = urlsplit(text)
    query = dict(parse_qsl(parts.query))
    path = [part for part in parts.path.split("/") if part]
    warnings = ("the token in the address was left out; set downloads.civitai_token",) if "token" in query else ()
    version = query.get("modelVersionId", "")
    if version and not _NUMBER.fullmatch(version):
        raise _odd("url", text, "has a modelVersionId that is no number")
    found: DownloadSource | None = None
    for start, is_version in _CIVITAI_PATHS:
        if tuple(path[: len(start)]) == start and len(path) > len(start) and _NUMBER.fullmatch(path[len(start)]):
            number = path[len(start)]
            found = DownloadSource(
                source="civitai", model_id="" if is_version else number, version_id=number if is_version else version
            )
            break
    if found is None:
        raise _odd("url", text, "is not the page of a model (https://civitai.com/models/123456)")
    return found.model_copy(update={"warnings": warnings})


def _check(found: DownloadSource) -> DownloadSource:
    if found.source != "huggingface":
        return found
    if found.revision and (not _REVISION.fullmatch(found.revision) or ".." in found.revision):
        raise InvalidRequest(
            f"revision: {found.revision[:80]!r} is not a branch, a tag or a commit",
            field="revision",
            value=found.revision[:200],
        )
    parts = found.filename.split("/") if found.filename else []
    if any(part in ("", ".", "..") for part in parts) or "\\" in found.filename or len(found.filename) > 1_000:
        raise InvalidRequest(
            f"filename: {found.filename[:80]!r} is not a path inside a repository",
            field="filename",
            value=found.filename[:200],
        )
    return found


def file_name_of(url: str) -> str:
    """The last part of an address's path, decoded; empty where there is none."""
    return unquote(urlsplit(url).path.rsplit("/", 1)[-1])


def _odd(field: str, text: str, why: str) -> InvalidRequest:
    shown = hide_secrets(text) if "://" in text and len(text) < MAX_ADDRESS_CHARACTERS and "[" not in text else ""
    return InvalidRequest(f"{field}: {shown[:120]!r} {why}", field=field, value=shown[:200])
