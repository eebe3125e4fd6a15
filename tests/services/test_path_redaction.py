"""Messages keep the names that users know and lose the folders that they do not."""

from __future__ import annotations

from pathlib import Path

from sdcpp_rest.services.path_redaction import PathRedaction

redact_paths = PathRedaction([Path("/srv/data"), Path("/srv/data/output"), Path("/srv/models"), Path("/")])


def test_folders_are_taken_out_the_deepest_first() -> None:
    assert redact_paths("read of '/srv/models/vae/a.gguf' failed") == "read of 'vae/a.gguf' failed"
    assert redact_paths("/srv/data/output/x/image_0.png and /srv/data/x.db") == "x/image_0.png and x.db"
    assert redact_paths("/srv/models is not a folder") == "the server's folder is not a folder"


def test_other_text_is_left_alone_and_the_root_is_no_secret() -> None:
    assert redact_paths("a/b and /etc/passwd, 1/2") == "a/b and /etc/passwd, 1/2"


def test_every_string_of_a_value_is_looked_at() -> None:
    value = {"path": "/srv/models/a", "list": ["/srv/data/b", 3, None], "inner": {"x": ("/srv/models/c",)}}
    assert redact_paths.in_values(value) == {"path": "a", "list": ["b", 3, None], "inner": {"x": ["c"]}}
