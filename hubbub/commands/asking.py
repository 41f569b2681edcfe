"""Asking a person for names and secrets: on the terminal without echo, from a file, from standard input; never as arguments."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import click

_MAX_SECRET_BYTES: Final = 4096
SECRET_FILE: Final = click.Path(dir_okay=False, allow_dash=True, path_type=Path)
password_option = click.option(
    "--password-file", type=SECRET_FILE, help='Read the password from this file; "-" is standard input.'
)


def asked(what: str, *, default: str | None = None) -> str:
    """What a person types."""
    need_terminal(what.lower(), "as an argument")
    text: str = click.prompt(what, default=default, err=True)
    return text


def hidden(what: str, *, again: bool = False) -> str:
    """What a person types without seeing it; with `again` twice the same."""
    need_terminal(what.lower(), "in a file")
    text: str = click.prompt(what, hide_input=True, confirmation_prompt=again, err=True)
    return text


def told_or_hidden(text: str | None, what: str) -> str | None:
    """What was given; for "-" what a person types unseen, or the first line of a pipe."""
    if text != "-":
        return text
    return hidden(what) if sys.stdin.isatty() else secret(Path("-"), what.lower())


def password(file: Path | None, *, what: str = "Password", fresh: bool = False) -> str:
    """A password from a file, else from the person; a fresh one is typed twice."""
    return secret(file, what.lower()) if file is not None else hidden(what, again=fresh)


def need_terminal(what: str, how: str) -> None:
    """Ask nobody where nobody can answer."""
    if not sys.stdin.isatty():
        raise click.UsageError(f"there is no terminal to ask for the {what}: give it {how}")


def secret(file: Path, what: str) -> str:
    """The first line of a file, or of standard input for "-".

    Raises:
        TalkError: it cannot be read, is empty or no text.
    """
    from ..refusals import TalkError

    try:
        if str(file) == "-":
            data = sys.stdin.buffer.readline(_MAX_SECRET_BYTES)
        else:
            with file.open("rb") as opened:
                data = opened.readline(_MAX_SECRET_BYTES)
        text = data.decode().rstrip("\r\n")
    except OSError as error:
        raise TalkError(f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise TalkError(f"the {what} in {file} is not UTF-8") from error
    if not text:
        raise TalkError(f"the {what} is empty")
    return text
