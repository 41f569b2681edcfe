"""When to restart and when to give up: a pure rule over the times of past restarts.

As in OTP: more than `max_restarts` restarts within the last `within_s` seconds is giving up. Until then the n-th restart
in the window waits `backoff_first_s * backoff_factor ** (n - 1)`, at most `backoff_max_s`. A quiet window starts afresh.

No clock here: `now` is passed in, in seconds, and never goes back.
"""

from collections import deque

import attrs
from attrs import validators


@attrs.frozen(kw_only=True)
class RestartIntensity:
    """How many restarts are bearable. The default bears 3 in 5 seconds.

    Attributes:
        max_restarts: restarts within the window that are still made; 0 gives up at the first crash.
        within_s: length of the window, in seconds.
        backoff_first_s: wait before the first restart of a window.
        backoff_factor: growth from one restart to the next.
        backoff_max_s: longest wait.

    Raises:
        ValueError: the waits alone would outlast the window, so that it would never give up.
    """

    max_restarts: int = attrs.field(default=3, validator=validators.ge(0))
    within_s: float = attrs.field(default=5.0, validator=validators.gt(0))
    backoff_first_s: float = attrs.field(default=0.05, validator=validators.ge(0))
    backoff_factor: float = attrs.field(default=2.0, validator=validators.ge(1))
    backoff_max_s: float = attrs.field(default=0.5, validator=validators.ge(0))

    def __attrs_post_init__(self) -> None:
        waits_s = sum(self.backoff_s(n) for n in range(1, self.max_restarts + 1))
        if waits_s >= self.within_s:
            raise ValueError(
                f"{self.max_restarts} restarts wait {waits_s:g} s in all, so a window of {self.within_s:g} s "
                "would never give up; lower backoff_max_s or widen within_s"
            )

    def backoff_s(self, restart: int) -> float:
        """Wait before the given restart of a window, counted from 1, in seconds."""
        wait_s = self.backoff_first_s
        for _ in range(restart - 1):
            if wait_s >= self.backoff_max_s or wait_s == 0:
                break
            wait_s *= self.backoff_factor
        return min(wait_s, self.backoff_max_s)


@attrs.frozen
class Restart:
    """Restart after `after_s` seconds."""

    after_s: float


@attrs.frozen
class GiveUp:
    """Do not restart: `restarts` of them within the window did not help."""

    restarts: int


class RestartWindow:
    """The restarts of one supervisor, or one key, that still count. Holds at most `max_restarts` times."""

    __slots__ = ("_intensity", "_times")

    def __init__(self, intensity: RestartIntensity) -> None:
        self._intensity = intensity
        self._times: deque[float] = deque()

    def crashed(self, now: float) -> Restart | GiveUp:
        """Judge a crash at `now`; a restart is counted, giving up is not."""
        oldest = now - self._intensity.within_s
        while self._times and self._times[0] < oldest:
            self._times.popleft()
        if len(self._times) >= self._intensity.max_restarts:
            return GiveUp(len(self._times))
        self._times.append(now)
        return Restart(self._intensity.backoff_s(len(self._times)))
