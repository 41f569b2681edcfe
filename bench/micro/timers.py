"""The wheel of the connections' timers."""

from __future__ import annotations

from typing import Final

from ...transport.wheel import Timed, Wheel
from .benchmark import Benchmark, Call

_CONNECTIONS: Final = 1000
_PING_S: Final = 25.0
_TICK_S: Final = 0.25
_PERIOD: Final = int(_PING_S / _TICK_S)


def _filled() -> tuple[Wheel[Timed], list[Timed]]:
    """Connections whose deadlines are spread evenly over the ping interval."""
    wheel: Wheel[Timed] = Wheel(_TICK_S)
    connections = [Timed() for _ in range(_CONNECTIONS)]
    for place, timed in enumerate(connections):
        wheel.arm(timed, _PING_S * (place + 1) / _CONNECTIONS)
    return wheel, connections


def idle_tick(connections: int) -> Call:
    """A tick at which none of so many connections is due."""
    wheel: Wheel[Timed] = Wheel(_TICK_S)
    for _ in range(connections):
        wheel.arm(Timed(), 1e6)
    now_s = 0.0

    def call() -> None:
        nonlocal now_s
        now_s += _TICK_S
        due, _ = wheel.take(now_s, 1 << 20)
        assert not due

    return call


def _arm() -> Call:
    wheel, connections = _filled()
    now_s = 0.0

    def call() -> None:
        nonlocal now_s
        now_s += _TICK_S
        for timed in connections:
            wheel.arm(timed, now_s + _PING_S)

    return call


def _tick() -> Call:
    wheel, _ = _filled()
    now_s = 0.0

    def call() -> None:
        nonlocal now_s
        now_s += _TICK_S
        due, _ = wheel.take(now_s, 1 << 20)
        for timed in due:
            wheel.arm(timed, now_s + _PING_S)

    return call


BENCHMARKS: Final = (
    Benchmark(
        name="wheel/arm", what="a deadline moved later, as each message does", make=_arm, operations=_CONNECTIONS
    ),
    Benchmark(
        name="wheel/tick",
        what=f"a tick of {_TICK_S} s of {_CONNECTIONS:,} idle connections, due ones armed again",
        make=_tick,
        period=_PERIOD,
    ),
)
