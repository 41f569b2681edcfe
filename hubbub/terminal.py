"""What people see in a terminal: messages on standard output, the state of the connection on standard error.

Names and texts come from strangers. Nothing in them may move the cursor, change colours, reorder what was printed or begin a
line that looks like somebody else's message: such characters are shown as escapes, and further lines of a text are indented.
"""

from __future__ import annotations

import os
import stat
import unicodedata
from datetime import datetime
from typing import Final, TextIO

import attrs
import trio

from .client import Message
from .refusals import TalkError

_INDENT: Final = "\n    "
_HARMFUL: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})  # controls, lone surrogates, line and paragraph separators
_REORDERING: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def harmless(text: str) -> str:
    """The text with every character that acts on a terminal shown as an escape, line ends and tabs included."""
    return text if text.isascii() and text.isprintable() else "".join(map(_shown, text))


def _shown(character: str) -> str:
    if unicodedata.category(character) in _HARMFUL or character in _REORDERING:
        number = ord(character)
        return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"
    return character


def line_of(message: Message) -> str:
    """A message as ``[time] name: text``, in local time; further lines of the text are indented."""
    text = _INDENT.join(harmless(line.replace("\t", "    ")) for line in message.text.split("\n"))
    return f"[{_local(message.created_at)}] {harmless(message.author)}: {text}"


def _local(created_at: str) -> str:
    try:
        return datetime.fromisoformat(created_at).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError):
        return harmless(created_at)


@attrs.frozen(kw_only=True)
class Terminal:
    """Where output goes.

    Attributes:
        as_json: print messages as JSON, one a line; everything outside ASCII is escaped, which makes it harmless too.
        chatty: say every state of the connection, because a person is watching.
    """

    out: TextIO
    err: TextIO
    as_json: bool = False
    chatty: bool = False

    def show(self, message: Message) -> None:
        """Print a message at once.

        Raises:
            BrokenPipeError: nobody reads any more.
            TalkError: it cannot be written.
        """
        self.write(message.ascii_json() if self.as_json else line_of(message))

    def write(self, line: str) -> None:
        """Print a line at once; raises as `show`."""
        try:
            self.out.write(line + "\n")
            self.out.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise TalkError(f"cannot write the output: {error.strerror}") from error

    def state(self, text: str, *, news: bool = False) -> None:
        """Say how the connection is: everything to a person who watches, only news to a log."""
        if self.chatty or news:
            self.warn(text)

    def warn(self, text: str) -> None:
        """Say something that must not be missed."""
        self.err.write(f"hubbub: {harmless(text)}\n")
        self.err.flush()


async def wait_reader_gone(fd: int) -> None:
    """Wait until the reader of a pipe has closed it, as ``tail -f`` does; without one, for ever.

    A quiet conversation would otherwise keep a process alive whose output nobody wants.
    """
    if not stat.S_ISFIFO(os.fstat(fd).st_mode):
        await trio.sleep_forever()
    # The writing end never becomes readable; epoll reports its error, and that wakes who waits for either.
    await trio.lowlevel.wait_readable(fd)
