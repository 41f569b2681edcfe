"""What is seen of a run while it lasts, on stderr: a table that is redrawn, or plain lines where there is no terminal.

The fleet gives a line of text whenever something begins, and a `Sample` once a second. The table shows the last
`_ROWS` seconds; plain lines of each kind come at most every
`PLAIN_EVERY_S`, so that a log stays readable. Nothing here waits.

Left out: anything that a result holds; what was shown is gone.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, Protocol

import attrs
from rich.console import Console, Group
from rich.live import Live as RichLive
from rich.markup import escape
from rich.spinner import Spinner
from rich.table import Table

PLAIN_EVERY_S: Final = 5.0
_ROWS: Final = 12
_HIGH_PERCENT: Final = 90.0
_HEADS: Final = (  # with figures of a usual size the table has room in 80 columns
    *("left", "conns", "posts/s", "acks/s", "deliv/s", "p50 ms", "p99 ms", "srv %", "pg %", "MiB", "gen %"),
)
_COLUMNS: Final = (
    *("left", "connected", "posts/s", "acks/s", "deliveries/s", "p50 ms", "p99 ms"),
    *("server %", "postgres %", "server MiB", "generators %"),
)


@attrs.frozen(kw_only=True)
class Sample:
    """One second of a run. None is what cannot be seen, such as the CPU of a server on another machine.

    Attributes:
        left_s: Seconds until the load ends; None while there is no end in sight.
        connections: Open at the moment.
        p50_ms: Of the deliveries of this second; of the acks where the run has no deliveries.
        p99_ms: As `p50_ms`.
        server_cpu_percent: Of a core.
        generator_cpu_percent: Of a core, one for each generator.
    """

    left_s: float | None = None
    connections: int = 0
    posts_per_s: float = 0.0
    acks_per_s: float = 0.0
    deliveries_per_s: float = 0.0
    p50_ms: float | None = None
    p99_ms: float | None = None
    server_cpu_percent: float | None = None
    postgres_cpu_percent: float | None = None
    server_rss_mib: float | None = None
    generator_cpu_percent: tuple[float, ...] = ()


class Live(Protocol):
    """Where a run tells how it goes."""

    def say(self, text: str) -> None:
        """What is going on now."""

    def interval(self, sample: Sample) -> None:
        """What the last second was like."""


class _Screen:
    def __init__(self, view: RichLive) -> None:
        self._view: Final = view
        self._spinner: Final = Spinner("dots", text="starting")
        self._samples: Final[deque[Sample]] = deque(maxlen=_ROWS)
        self._draw()

    def say(self, text: str) -> None:
        self._spinner.update(text=escape(text))
        self._draw()

    def interval(self, sample: Sample) -> None:
        self._samples.append(sample)
        self._draw()

    def _draw(self) -> None:
        self._view.update(Group(table(self._samples), self._spinner) if self._samples else self._spinner)


class _Lines:
    def __init__(self, console: Console, clock: Callable[[], float]) -> None:
        self._console: Final = console
        self._clock: Final = clock
        self._say_at = self._interval_at = clock()
        self._last = ""

    def say(self, text: str) -> None:
        now = self._clock()
        if text != self._last and now >= self._say_at:
            self._last, self._say_at = text, now + PLAIN_EVERY_S
            self._print(text)

    def interval(self, sample: Sample) -> None:
        now = self._clock()
        if now >= self._interval_at:
            self._interval_at = now + PLAIN_EVERY_S
            pairs = zip(_COLUMNS, _cells(sample), strict=True)
            self._print(", ".join(f"{name} {value}" for name, value in pairs if value))

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


@contextlib.contextmanager
def live_view(console: Console, clock: Callable[[], float] = time.monotonic) -> Iterator[Live]:
    """Show a run on this console for the length of a `with` block; nothing of it stays on a terminal.

    Args:
        clock: Seconds; for the pace of plain lines only.
    """
    if not console.is_terminal:
        yield _Lines(console, clock)
        return
    with RichLive(console=console, transient=True, refresh_per_second=8) as view:
        yield _Screen(view)


def table(samples: deque[Sample]) -> Table:
    """The last seconds, newest below."""
    shown = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for name in _HEADS:
        shown.add_column(name, justify="right", no_wrap=True)
    for sample in samples:
        bound = max(sample.generator_cpu_percent, default=0.0) > _HIGH_PERCENT
        shown.add_row(*_cells(sample), style="yellow" if bound else "")
    return shown


def _cells(sample: Sample) -> list[str]:
    return [
        _known(sample.left_s, "{:.0f} s"),
        f"{sample.connections:,}",
        f"{sample.posts_per_s:,.0f}",
        f"{sample.acks_per_s:,.0f}",
        f"{sample.deliveries_per_s:,.0f}",
        _known(sample.p50_ms, "{:,.1f}"),
        _known(sample.p99_ms, "{:,.1f}"),
        _known(sample.server_cpu_percent, "{:.0f}"),
        _known(sample.postgres_cpu_percent, "{:.0f}"),
        _known(sample.server_rss_mib, "{:,.0f}"),
        " ".join(f"{percent:.0f}" for percent in sample.generator_cpu_percent),
    ]


def _known(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)
