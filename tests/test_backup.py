"""What `hubbub backup` says of a database: where it is, and never how to get in."""

from __future__ import annotations

from pathlib import Path

import pytest

from hubbub.database import place_of


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("postgresql://ada:hunter2@db.example.org:5433/hubbub?password=hunter2", "db.example.org:5433"),
        ("postgresql://ada:hun%40ter2@[::1]/hubbub", "[::1]"),
        ("postgresql://a,b:5433/hubbub", "a,b:5433"),
        ("postgresql:///hubbub?host=/run/postgresql&port=5433&password=hunter2", "/run/postgresql:5433"),
        ("postgresql:///hubbub", "localhost"),
    ],
)
def test_where_a_database_is(tmp_path: Path, url: str, host: str) -> None:
    """Host and port as the URL says, without user and password."""
    assert place_of(None, data=tmp_path, database_url=url).host() == host
