from __future__ import annotations

import pytest

from sdcpp_rest.config import Config
from sdcpp_rest.errors import NotAuthenticated
from sdcpp_rest.services.pictures.picture_links import LIFETIME_SECONDS, PREFIX, is_open, link_path
from sdcpp_rest.web.access import AccessRequest, check_key
from tests.cases import for_each_case

NAME = "550e8400-e29b-41d4-a716-446655440000/image_0.png"
LOCKED = Config(auth={"api_keys": ["old-key", "anna:other-key"]})


def test_a_link_opens_its_picture_for_an_hour() -> None:
    path = link_path(LOCKED, NAME, now=1000)
    assert path.startswith(PREFIX)
    assert path.endswith(f"/{NAME}")
    assert is_open(LOCKED, path, now=1000 + LIFETIME_SECONDS)
    assert not is_open(LOCKED, path, now=1001 + LIFETIME_SECONDS)


@for_each_case(
    "change",
    [
        lambda path: path.replace("image_0", "image_1"),
        lambda path: path.replace(f"{1000 + LIFETIME_SECONDS}-", "9999999999-"),
        lambda path: path.replace("-", "", 1),
        lambda path: path.replace(PREFIX, "/output/"),
        lambda path: path[:-1],
        lambda path: f"{PREFIX}open/{NAME}",
        lambda path: f"{PREFIX}{1 << 40}-é/{NAME}",
        lambda path: PREFIX,
    ],
)
def test_what_was_changed_opens_nothing(change: object) -> None:
    path = link_path(LOCKED, NAME, now=1000)
    assert not is_open(LOCKED, change(path), now=1000)  # type: ignore[operator]


def test_a_link_ends_with_the_key_that_signed_it() -> None:
    path = link_path(LOCKED, NAME, now=1000)
    assert is_open(Config(auth={"api_keys": ["new-key", "old-key"]}), path, now=1000)
    assert not is_open(Config(auth={"api_keys": ["new-key"]}), path, now=1000)
    assert not is_open(Config(), path, now=1000)


def test_the_door_opens_for_a_link_and_for_nothing_else() -> None:
    path = link_path(LOCKED, NAME)
    assert check_key(LOCKED, AccessRequest(path)) is None
    for other in ("/queue", path.replace("image_0", "image_1")):
        with pytest.raises(NotAuthenticated):
            check_key(LOCKED, AccessRequest(other))
    with pytest.raises(NotAuthenticated):
        check_key(LOCKED, AccessRequest(path, is_websocket=True))


def test_without_keys_nothing_is_signed() -> None:
    assert link_path(Config(), NAME) == f"{PREFIX}open/{NAME}"
