"""Waiting for real sockets: what was sent may still be with the kernel while every task of ours waits."""

from __future__ import annotations

from typing import Final

from trio.testing import wait_all_tasks_blocked

QUIET_S: Final = 0.005
"""For how long nothing comes, in real time, until nothing more is on its way. Loopback delivers within a send, as a rule; on a
busy machine the kernel puts it off for a moment."""


async def all_quiet() -> None:
    """Return when every task waits and nothing has come over any socket for a moment."""
    await wait_all_tasks_blocked(QUIET_S)
