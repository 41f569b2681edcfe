"""What admins have set, kept in the data directory."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.config import overrides
from hubbub.config.errors import ConfigError


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """For the server's user alone, and nothing else is left in the directory."""
    overrides.write(tmp_path, {"access": {"guests": True}})
    overrides.write(tmp_path, {"access": {"guests": False}})
    assert overrides.read(tmp_path) == {"access": {"guests": False}}
    [path] = tmp_path.iterdir()
    assert (path, stat.S_IMODE(path.stat().st_mode)) == (overrides.place(tmp_path), 0o600)


def test_nothing_was_set(tmp_path: Path) -> None:
    """Neither a file nor a directory."""
    assert overrides.read(tmp_path) == overrides.read(tmp_path / "none") == {}


@pytest.mark.parametrize("content", ["", "{", "[]", "1", "[" * 100_000, "\xff"])
def test_a_file_that_was_damaged_is_refused(content: str, tmp_path: Path) -> None:
    """Silence would undo what an admin has set; the message says what to do."""
    overrides.place(tmp_path).write_text(content, encoding="latin-1")
    with pytest.raises(ConfigError, match="mend or delete it"):
        overrides.read(tmp_path)


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    """The directory has gone: an error, and no traces."""
    with pytest.raises(OSError, match="No such file"):
        overrides.write(tmp_path / "none", {})


@pytest.mark.parametrize(
    ("table", "patch", "expected"),
    [
        ({}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}, {"a": {"b": 3, "c": 2}}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": None}}, {"a": {"c": 2}}),
        ({"a": {"b": 1}}, {"a": {"b": None}}, {}),
        ({"a": 1}, {"a": {"b": None}}, {}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({}, {"a": None}, {}),
    ],
)
def test_a_merge_patch(table: dict[str, object], patch: dict[str, object], expected: dict[str, object]) -> None:
    """RFC 7396; tables that became empty go."""
    assert overrides.merged(table, patch) == expected


_VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
_TABLES = st.recursive(
    st.dictionaries(st.sampled_from("abc"), _VALUES, max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner | _VALUES, max_size=3),
    max_leaves=8,
)


@given(_TABLES, _TABLES)
def test_a_merge_patch_is_carried_out_once(table: dict[str, object], patch: dict[str, object]) -> None:
    """Twice the same changes nothing more, null stays nowhere, and what is given is left alone."""
    before = json.dumps([table, patch])
    clean = overrides.merged({}, table)
    once = overrides.merged(clean, patch)
    assert overrides.merged(once, patch) == once
    assert "null" not in json.dumps(once).replace('"null"', "")
    assert json.dumps([table, patch]) == before
