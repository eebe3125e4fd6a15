"""Messages keep the names that users know and lose the folders that they do not."""

from __future__ import annotations

from pathlib import Path

from sdcpp_rest.services.path_redaction import Discretion

discreet = Discretion([Path("/srv/data"), Path("/srv/data/output"), Path("/srv/models"), Path("/")])


def test_folders_are_taken_out_the_deepest_first() -> None:
    assert discreet("read of '/srv/models/vae/a.gguf' failed") == "read of 'vae/a.gguf' failed"
    assert discreet("/srv/data/output/x/image_0.png and /srv/data/x.db") == "x/image_0.png and x.db"
    assert discreet("/srv/models is not a folder") == "the server's folder is not a folder"


def test_other_text_is_left_alone_and_the_root_is_no_secret() -> None:
    assert discreet("a/b and /etc/passwd, 1/2") == "a/b and /etc/passwd, 1/2"


def test_every_string_of_a_value_is_looked_at() -> None:
    value = {"path": "/srv/models/a", "list": ["/srv/data/b", 3, None], "inner": {"x": ("/srv/models/c",)}}
    assert discreet.in_all(value) == {"path": "a", "list": ["b", 3, None], "inner": {"x": ["c"]}}
