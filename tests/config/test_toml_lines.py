"""On which line a key stands."""

from __future__ import annotations

import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hubbub.config.toml_lines import lines_of
from hubbub.config.values import toml

TEXT = '''# a comment
top = 1

[serve]
host = "a"   # port = 3
"quoted key" = """
port = 1
[nothing]
"""
list = [
  1,
  2,
]
port = 8000
door.http.max_headers = 3

[serve.table] # and why
turn_s = 1
inline = { a = 1, b = { c = 2 } }

[[issuers]]
name = "one"
'''


def test_keys_are_found_on_their_lines() -> None:
    """Tables, dotted keys, what follows strings and lists of several lines; nothing inside of a string."""
    found = lines_of(TEXT)
    assert {".".join(path): line for path, line in found.items()} == {
        "top": 2,
        "serve": 4,
        "serve.host": 5,
        "serve.quoted key": 6,
        "serve.list": 10,
        "serve.port": 14,
        "serve.door": 15,
        "serve.door.http": 15,
        "serve.door.http.max_headers": 15,
        "serve.table": 17,
        "serve.table.turn_s": 18,
        "serve.table.inline": 19,
        "serve.table.inline.a": 19,
        "serve.table.inline.b": 19,
        "serve.table.inline.b.c": 19,
        "issuers": 21,
        "issuers.name": 22,
    }


def test_a_very_long_statement_ends_the_search() -> None:
    """What stands before it is found; work stays linear."""
    text = "a = 1\nb = [\n" + "1,\n" * 5000 + "]\nc = 1\n"
    assert lines_of(text) == {("a",): 1}


_WORDS = st.text(alphabet="abcdefgh_", min_size=1, max_size=6)
_TABLES = st.dictionaries(_WORDS, st.dictionaries(_WORDS, st.integers() | st.text(max_size=20), max_size=5), max_size=5)


@given(_TABLES)
def test_every_key_is_found_where_it_is(tables: dict[str, dict[str, Any]]) -> None:
    """The line that is told holds the key."""
    text = "\n".join(
        f"[{name}]\n" + "\n".join(f"{key} = {toml(value)}" for key, value in table.items())
        for name, table in tables.items()
    )
    assert tomllib.loads(text) == tables
    lines = text.split("\n")
    found = lines_of(text)
    for name, table in tables.items():
        assert lines[found[name,] - 1] == f"[{name}]"
        for key in table:
            assert lines[found[name, key] - 1].startswith(f"{key} = ")
