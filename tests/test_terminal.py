"""Tests of hubbub/terminal.py: what strangers write cannot act on a terminal."""

import io
import json
import os

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from hubbub.client import Message
from hubbub.terminal import Terminal, harmless, line_of, wait_reader_gone

ACTING = "".join(
    map(chr, [*range(32), *range(0x7F, 0xA0), 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A)])
)


def message(text: str, author: str = "ada") -> Message:
    body = {"id": "m", "offset": 1, "author": {"name": author}, "text": text, "created_at": "2026-11-21T05:36:00.123Z"}
    return Message.decode(json.dumps(body).encode())


@given(st.text(st.one_of(st.sampled_from(ACTING), st.characters())))
def test_nothing_that_acts_on_a_terminal_is_left(text):
    """No control, separator, surrogate or reordering character passes, and ordinary ones do."""
    shown = harmless(text)
    assert not set(shown) & set(ACTING)
    shown.encode()  # no lone surrogate is left
    if not set(text) & set(ACTING) and not any("\ud800" <= character <= "\udfff" for character in text):
        assert shown == text


def test_a_text_of_several_lines_cannot_pose_as_another_message():
    """Further lines are indented, and a name has no lines at all."""
    lines = line_of(message("hi\n[2026-01-01 00:00:00] bob: fake", "ada\n[x] eve")).split("\n")
    assert len(lines) == 2
    assert lines[0].endswith("] ada\\x0a[x] eve: hi")
    assert lines[1] == "    [2026-01-01 00:00:00] bob: fake"


def test_json_is_one_harmless_line():
    """Control characters and everything outside ASCII are escaped; the value is what the server sent."""
    out = io.StringIO()
    Terminal(out=out, err=io.StringIO(), as_json=True).show(message("a\x1b[2J\x7f\n\u202eé"))
    line = out.getvalue()
    assert line.endswith("}\n")
    assert line[:-1].isascii()
    assert line[:-1].isprintable()
    assert json.loads(line)["text"] == "a\x1b[2J\x7f\n\u202eé"


async def test_a_pipe_without_reader_is_noticed_while_nothing_is_written():
    """`wait_reader_gone` waits while there is a reader and returns when it leaves."""
    reading, writing = os.pipe()
    try:
        with trio.move_on_after(0.05) as early:
            await wait_reader_gone(writing)
        assert early.cancelled_caught
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_reader_gone, writing)
            await trio.testing.wait_all_tasks_blocked()
            os.close(reading)
            with trio.fail_after(5):
                while nursery.child_tasks:
                    await trio.lowlevel.checkpoint()
    finally:
        os.close(writing)


async def test_a_file_has_no_reader_to_wait_for(tmp_path):
    """For what is no pipe `wait_reader_gone` never returns."""
    with (tmp_path / "out").open("wb") as file, trio.move_on_after(0.05) as scope:
        await wait_reader_gone(file.fileno())
    assert scope.cancelled_caught


def test_a_closed_pipe_stays_a_broken_pipe():
    """The command tells a leaving reader from a failure to write."""
    reading, writing = os.pipe()
    os.close(reading)
    file = os.fdopen(writing, "w")
    with pytest.raises(BrokenPipeError):
        Terminal(out=file, err=io.StringIO()).write("x")
    with pytest.raises(BrokenPipeError):
        file.close()
