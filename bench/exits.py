"""How the commands of the bench end: their exit codes, and the one error that is told in a line.

0: every promise held, and everything that was asked for. Where several things are wrong, a broken promise decides
first, then a run that proves nothing, then the service level, then a regression.
"""

from typing import Final

import click

EXIT_BROKEN: Final = 1
"""A promise was broken: something lost, doubled, out of order, cut off. 2 is wrong usage, by click's custom."""
EXIT_NOT_RUN: Final = 3
"""The run could not be made, or proves nothing: it was invalid, and a verdict was asked for."""
EXIT_SLO_MISSED: Final = 4
"""A condition of `--slo` was not kept."""
EXIT_REGRESSED: Final = 5
"""Something is worse than in the file of `--against`, beyond noise, and `--fail-on-regression` was given."""
EXIT_INTERRUPTED: Final = 130


class NotRun(click.ClickException):
    """The run could not be made; the message says why."""

    exit_code = EXIT_NOT_RUN
