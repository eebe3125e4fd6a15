"""A sum on a thread of its own."""

from __future__ import annotations

import hashlib
import threading

from sdcpp_rest.services.downloads.hash_thread import HashThread


def test_parts_in_order_give_the_sum_of_the_whole() -> None:
    parts = [bytes([k]) * (k * 1000) for k in range(100)]
    with HashThread() as digest:
        for part in parts:
            digest.add(part)
        assert digest.hexdigest() == hashlib.sha256(b"".join(parts)).hexdigest()
        digest.add(b"more")
        assert digest.hexdigest() == hashlib.sha256(b"".join(parts) + b"more").hexdigest()


def test_it_begins_anew() -> None:
    with HashThread() as digest:
        digest.add(b"wrong")
        digest.restart()
        digest.add(b"right")
        assert digest.hexdigest() == hashlib.sha256(b"right").hexdigest()


def test_the_thread_ends_with_it() -> None:
    before = threading.active_count()
    with HashThread() as digest:
        digest.add(b"x")
    assert threading.active_count() == before
