"""What is seen of a run while it lasts."""

import io
from collections import deque

import attrs
from rich.console import Console

from hubbub.bench.report.live import PLAIN_EVERY_S, Sample, live_view, table

SAMPLE = Sample(
    left_s=7.4,
    connections=2_000,
    posts_per_s=25,
    acks_per_s=25,
    deliveries_per_s=50_000,
    p50_ms=7.81,
    server_cpu_percent=43,
    server_rss_mib=181.4,
    generator_cpu_percent=(31.0, 95.0),
)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_without_a_terminal_lines_come_now_and_then() -> None:
    """The first of each kind is printed, then one every few seconds, and nothing twice that only says what goes on."""
    out, clock = io.StringIO(), Clock()
    with live_view(Console(file=out, width=40), clock) as live:
        live.say("starting [the] server")
        live.say("too soon")
        live.interval(SAMPLE)
        clock.now += PLAIN_EVERY_S / 2
        live.interval(SAMPLE)
        clock.now += PLAIN_EVERY_S
        live.say("starting [the] server")
        live.interval(SAMPLE)
    first, second, third = out.getvalue().splitlines()
    assert second == third
    assert first == "starting [the] server"
    assert second.startswith("left 7 s, connected 2,000, posts/s 25, acks/s 25, deliveries/s 50,000, p50 ms 7.8, ")
    assert second.endswith("server % 43, server MiB 181, generators % 31 95")


def test_a_terminal_shows_a_table_of_the_last_seconds() -> None:
    """The last dozen of seconds, then what is going on; nothing stays when it ends."""
    out = io.StringIO()
    console = Console(file=out, width=160, force_terminal=True, color_system=None, legacy_windows=False)
    with live_view(console) as live:
        live.say("[connecting]")
        for second in range(40):
            live.interval(Sample(left_s=100 + second, connections=second))
    text = out.getvalue()
    assert "[connecting]" in text
    last = text[text.rindex("conns") :]
    assert "139 s" in last
    assert "128 s" in last
    assert "127 s" not in last


def test_what_cannot_be_seen_is_left_empty() -> None:
    """A run without the server's process shows no zero for its CPU."""
    out = io.StringIO()
    with live_view(Console(file=out, width=200), Clock()) as live:
        live.interval(Sample(connections=3))
    assert out.getvalue() == "connected 3, posts/s 0, acks/s 0, deliveries/s 0\n"


def test_the_table_fits_a_narrow_terminal() -> None:
    """In 80 columns nothing is cut off, not with three million deliveries either."""
    out = io.StringIO()
    sample = attrs.evolve(SAMPLE, deliveries_per_s=3_012_345, postgres_cpu_percent=31, p99_ms=102.4)
    Console(file=out, width=80).print(table(deque([sample])))
    head, row = out.getvalue().splitlines()
    assert head.split("  ")[0].strip().startswith("left")
    assert "gen %" in head
    assert "3,012,345" in row
    assert "31 95" in row
    assert "\u2026" not in head + row
