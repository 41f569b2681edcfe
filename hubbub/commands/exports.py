"""Lines of JSON into a file that only the user can read, whole or not at all; or to standard output."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .output import Output, Row


@contextmanager
def lines_into(file: Path, output: Output) -> Iterator[Callable[[Row], None]]:
    """Gives a function that writes one row; "-" is standard output.

    Raises:
        TalkError: the file cannot be written.
    """
    from ..refusals import TalkError

    if str(file) == "-":
        yield output.document
        return
    try:
        descriptor, temporary = tempfile.mkstemp(dir=file.absolute().parent, prefix=f".{file.name}-")  # with 0600
    except OSError as error:
        raise TalkError(f"cannot write {file}: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as opened:

            def write(row: Row) -> None:
                opened.write(json.dumps(row, separators=(",", ":")) + "\n")

            yield write
        Path(temporary).replace(file)
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):
            Path(temporary).unlink()
        if isinstance(error, OSError):
            raise TalkError(f"cannot write {file}: {error.strerror}") from error
        raise
