"""The function of each fault of `kinds.FAULTS`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from . import blows_limits as limits
from . import blows_processes as processes
from . import blows_wires as wires
from .kinds import Effect
from .plan import Round
from .stage import Stage

Blow = Callable[[Stage, Round], Awaitable[Effect]]
"""Injects a fault, keeps it up, takes it back, and says what it did. Raises `CannotInject`."""

BLOWS: Final[Mapping[str, Blow]] = {
    "kill-server": processes.kill_server,
    "kill-postgres": processes.kill_postgres,
    "kill-both": processes.kill_both,
    "stop-server": processes.stop_server,
    "stop-postgres": processes.stop_postgres,
    "restart-postgres": processes.restart_postgres,
    "terminate-backends": processes.terminate_backends,
    "cut-clients": wires.cut_clients,
    "delay-clients": wires.delay_clients,
    "truncate-clients": wires.truncate_clients,
    "half-open-clients": wires.half_open_clients,
    "cut-postgres": wires.cut_postgres,
    "delay-postgres": wires.delay_postgres,
    "truncate-postgres": wires.truncate_postgres,
    "half-open-postgres": wires.half_open_postgres,
    "disk-full": limits.fill_disk,
    "clock-step": limits.step_clock,
    "descriptors": limits.exhaust_descriptors,
    "memory": limits.exhaust_memory,
}
