"""How the commands of the bench end: their exit codes, and the one error that is told in a line."""

from typing import Final

import click

EXIT_BROKEN: Final = 1
"""A promise was broken."""
EXIT_NOT_RUN: Final = 3
"""The run could not be made, or proves nothing."""
EXIT_INTERRUPTED: Final = 130


class NotRun(click.ClickException):
    """The run could not be made; the message says why."""

    exit_code = EXIT_NOT_RUN
