"""Tests of hubbub/commands/output.py, durations.py, exits.py and exports.py: what is printed, and how commands end."""

from __future__ import annotations

import io
import json

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.commands.columns import GAP, Width, fit
from hubbub.commands.durations import duration
from hubbub.commands.exits import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_NOT_ALLOWED, exit_codes
from hubbub.commands.exports import lines_into
from hubbub.commands.output import Column, Output
from hubbub.refusals import NotSignedIn, Refused, TalkError
from hubbub.terminal import Terminal

COLUMNS = (Column("id", "id"), Column("who", "user.name"), Column("on", "on"), Column("may", "may"))
ROW = {"id": 7, "user": {"name": "A\x1b[2Jda\n"}, "on": True, "may": ["read", "write"]}


def output(*, rich: bool = False, as_json: bool = False) -> tuple[Output, io.StringIO]:
    """An output that writes to memory."""
    out = io.StringIO()
    return Output(Terminal(out=out, err=io.StringIO(), as_json=as_json), rich=rich), out


def test_a_pipe_gets_a_line_a_row_with_tabs() -> None:
    """Nothing in a value makes another line or another field."""
    plain, out = output()
    plain.rows(COLUMNS, [ROW, {"id": 8}])
    assert out.getvalue() == "7\tA\\x1b[2Jda\\x0a\tyes\tread,write\n8\t\t\t\n"


def test_a_terminal_gets_a_table(monkeypatch) -> None:
    """With headings, as wide as the terminal, and no control character but the table's own."""
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    rich, out = output(rich=True)
    rich.rows(COLUMNS, [ROW])
    shown = out.getvalue()
    assert "who" in shown
    assert "A\\x1b[2Jda\\x0a" in shown
    assert "\x1b[2J" not in shown
    assert len(shown.splitlines()) == 2


WIDE = (
    Column("id", "id"),
    Column("name", "name", free=True),
    Column("role", "role"),
    Column("made", "made", time=True),
    Column("disabled", "disabled", time=True),
)
ID = "0193b5c8-6a51-7c3e-9d20-5a0e1f2b3c4d"
PERSON = {
    "id": ID,
    "name": "Augusta Ada King, Countess of Lovelace",
    "role": "member",
    "made": "2026-11-21T18:40:00.000Z",
}


@pytest.mark.parametrize("columns", [200, 100, 80, 72, 60, 40, 20, 1])
def test_ids_and_times_stay_in_one_piece(monkeypatch, columns: int) -> None:
    """However narrow the terminal is; names are folded, empty columns go, and then rows become records."""
    monkeypatch.setenv("COLUMNS", str(columns))
    rich, out = output(rich=True)
    rich.rows(WIDE, [PERSON, {**PERSON, "name": "b"}])
    shown = click.unstyle(out.getvalue())
    lines = shown.splitlines()
    assert sum(ID in line for line in lines) == 2
    assert sum("2026-11-2" in line and ":40" in line for line in lines) == 2
    is_table = lines[0].split()[:2] == ["id", "name"]
    assert is_table == (columns >= 72)
    assert ("disabled" in shown) == (columns == 200)
    if is_table:
        assert max(map(len, lines)) <= columns
    else:
        assert f"name:     {PERSON['name']}" in lines
        assert lines.count("") == 1


@given(
    st.lists(
        st.tuples(st.integers(0, 60), st.integers(0, 60), st.booleans()).map(
            lambda found: Width(max(found[:2]), min(found[:2]), found[2])
        ),
        max_size=8,
    ),
    st.integers(1, 200),
)
def test_a_table_fits_or_is_none(widths: list[Width], room: int) -> None:
    """No column gets less than it needs or more than it wants; only what is empty is left out, and only where that helps."""
    found = fit(widths, room)
    needed = [width.least for width in widths if not width.empty]
    if found is None:
        assert sum(needed) + GAP * (len(needed) - 1) > room
        return
    taken = [width for width in found if width]
    assert sum(taken) + GAP * max(0, len(taken) - 1) <= room
    for width, got in zip(widths, found, strict=True):
        assert width.least <= got <= width.wish or (width.empty and got == 0)
    if sum(width.wish for width in widths) + GAP * max(0, len(widths) - 1) <= room:
        assert found == [width.wish for width in widths]


def test_nothing_is_said_as_such_to_people() -> None:
    """An empty table is a note; an empty list is no line for programs."""
    rich, out = output(rich=True)
    rich.rows(COLUMNS, [])
    assert out.getvalue() == ""
    assert "nothing to show" in rich.terminal.err.getvalue()


@given(st.text(), st.booleans())
def test_json_is_what_the_server_sent_in_ascii_on_one_line(text: str, rich: bool) -> None:
    """Whatever is in it."""
    told, out = output(rich=rich, as_json=True)
    told.rows(COLUMNS, [{"id": text}])
    told.thing(COLUMNS, {"id": text})
    told.done("done", {"id": text})
    lines = out.getvalue().split("\n")
    assert [json.loads(line) for line in lines[:-1]] == [{"id": text}] * 3
    assert out.getvalue().isascii()


@given(st.text())
def test_no_value_breaks_a_line(text: str) -> None:
    """A row stays one line of as many fields as there are columns."""
    plain, out = output()
    plain.rows(COLUMNS, [{"id": text, "user": {"name": text}}])
    line = out.getvalue()
    assert line.count("\n") == 1
    assert line.count("\t") == len(COLUMNS) - 1


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("15m", 900), ("12H", 43_200), ("7d", 604_800), ("2w", 1_209_600)]
)
def test_lengths_of_time(text: str, seconds: int) -> None:
    """As people write them."""
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "1.5h", "-1s", "1y", "1h30m", "٣s"])
def test_what_is_no_length_of_time(text: str) -> None:
    """Wrong usage."""
    with pytest.raises(click.BadParameter, match="no length of time"):
        duration(text)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (TalkError("no\nway"), EXIT_FAILED, "hubbub: no\\x0away: try again\n"),
        (Refused("gone", status=410), EXIT_FAILED, "hubbub: gone: try again\n"),
        (Refused("who?", status=401), EXIT_NOT_ALLOWED, "hubbub: who?: try again\n"),
        (Refused("no", status=403), EXIT_NOT_ALLOWED, "hubbub: no: try again\n"),
        (NotSignedIn("nobody"), EXIT_NOT_ALLOWED, "hubbub: nobody: try again\n"),
        (ExceptionGroup("", [ExceptionGroup("", [TalkError("deep")])]), EXIT_FAILED, "hubbub: deep: try again\n"),
        (KeyboardInterrupt(), EXIT_INTERRUPTED, ""),
        (click.Abort(), EXIT_INTERRUPTED, ""),
    ],
)
def test_how_commands_end(capsys, error: BaseException, code: int, said: str) -> None:
    """A code and at most one line, with what to do next; no traceback."""

    def fail() -> None:
        with exit_codes() as ending:
            ending.advice = lambda _: "try again"
            raise error

    with pytest.raises(SystemExit) as ended:
        fail()
    assert ended.value.code == code
    assert capsys.readouterr().err == said


def test_a_bug_is_not_hidden() -> None:
    """What nobody foresaw is raised as it is."""
    with pytest.raises(ZeroDivisionError), exit_codes():
        raise ZeroDivisionError


def test_a_file_is_written_whole_or_not_at_all(tmp_path) -> None:
    """A failure leaves what was there before, and nothing else."""
    file = tmp_path / "a.jsonl"
    file.write_text("before")
    told, _ = output(as_json=True)

    def break_off() -> None:
        with lines_into(file, told) as write:
            write({"id": 1})
            raise TalkError("lost")

    with pytest.raises(TalkError, match="lost"):
        break_off()
    assert file.read_text() == "before"
    assert list(tmp_path.iterdir()) == [file]
    with lines_into(file, told) as write:
        write({"id": 1})
    assert file.read_text() == '{"id":1}\n'
