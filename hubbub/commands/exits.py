"""How commands end: their exit codes, and one line on standard error where something failed. No traceback for what can go wrong.

These codes mean the same for every command; a command with further ones says so in its help (`migrate`, `bench`). They stay clear
of those: 77 is `EX_NOPERM` of BSD's sysexits.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import attrs
import click

EXIT_FAILED: Final = 1
"""It could not be done; the message says why. 0 is done, 2 is wrong usage, by click's custom."""
EXIT_NOT_ALLOWED: Final = 77
"""Nobody is signed in, the credential is no longer good, or it may not do this."""
EXIT_INTERRUPTED: Final = 130
EXIT_NO_READER: Final = 141
"""Nobody reads the output any more."""
_DENIED: Final = frozenset({401, 403})


@attrs.define
class Ending:
    """What a command knows about its possible end.

    Attributes:
        advice: what to do next after an error, as far as that can be told.
    """

    advice: Callable[[Exception], str | None] = lambda _: None


@contextmanager
def exit_codes() -> Iterator[Ending]:
    """Turn how a command ended into an exit code and, where it failed, one line on standard error."""
    from ..refusals import TalkError

    ending, code, texts = Ending(), 0, list[str]()
    try:
        yield ending
    except* (KeyboardInterrupt, click.Abort):  # click's is Ctrl-C at a question
        code = EXIT_INTERRUPTED
    except* BrokenPipeError:
        code = EXIT_NO_READER
        # The interpreter flushes standard output at its end; what is left goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except* TalkError as group:
        failures = list(leaves(group))
        code = EXIT_NOT_ALLOWED if all(map(_is_denial, failures)) else EXIT_FAILED
        for error in failures:
            advice = ending.advice(error)
            texts.append(f"{error}: {advice}" if advice else str(error))
    if texts:
        from ..terminal import harmless

        click.echo("hubbub: " + "; ".join(harmless(text) for text in texts), err=True)
    if code:
        sys.exit(code)


def _is_denial(error: Exception) -> bool:
    from ..refusals import NotSignedIn, Refused

    return isinstance(error, NotSignedIn) or (isinstance(error, Refused) and error.status in _DENIED)


def leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[Exception]:
    """The exceptions of a group and of the groups inside it."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from leaves(error)
        elif isinstance(error, Exception):
            yield error
