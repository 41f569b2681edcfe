"""Rate limits: the generic cell rate algorithm (GCRA), and a bounded table of buckets.

A bucket holds `burst` requests and refills at `rate` per period. Its whole state is one integer, the time at which it will be
full again (ITU-T I.371 calls it the theoretical arrival time); a bucket that is full needs no state at all.

Invariants:
- In any stretch of time of length t, at most ``burst + t / interval`` requests of one key are allowed: there is no window whose
  edge could be straddled with two bursts.
- A refused request changes nothing. Time is integer nanoseconds on a clock that never runs back, so nothing drifts.
- The table holds at most `max_buckets` keys and `SHARED` buckets more. Only full buckets are forgotten, so no flood of other
  keys gives anybody a fresh bucket. When there is no room, new keys share buckets, and so do a key's own first requests after it:
  a key never gets more than its limit, and may get less while the table is full.

Left out: which limits there are and what they are keyed by (`hubbub.transport.limits`), the clock.
"""

from collections import deque
from collections.abc import Hashable
from typing import Final

import attrs
import msgspec
from attrs.validators import ge, le

SECOND_NS: Final = 1_000_000_000
SHARED: Final = 512
"""Buckets that keys share for which the table has no room."""

MAX_RATE: Final = 1_000_000
"""Bound of a limit's rate and burst."""
MAX_PERIOD_S: Final = 7 * 86_400
_LOOKS: Final = 3  # buckets examined for each new key: more than one, so that full ones go faster than keys come
_ROOMY: Final = 8_192
"""Up to so many, buckets are kept though they are full: a key that comes back finds its own, which costs a third of a new one."""


class Allowed(msgspec.Struct, frozen=True):
    """The request was let through and is counted. Made for every request, so a msgspec struct: a third of an attrs class.

    Attributes:
        remaining: further requests of cost 1 that would be let through at this moment.
        reset_ns: until the bucket is full again, if nothing else comes.
    """

    remaining: int
    reset_ns: int


class Denied(msgspec.Struct, frozen=True):
    """The request was refused and is not counted.

    Attributes:
        after_ns: when the same request would be let through, if nothing else comes; above 0.
        remaining, reset_ns: as of `Allowed`; a cheaper request may still be let through.
    """

    after_ns: int
    remaining: int
    reset_ns: int


Verdict = Allowed | Denied


@attrs.frozen
class Limit:
    """How much and how fast.

    Attributes:
        rate: requests a period in the long run.
        period_ns: nanoseconds.
        burst: requests at once after a pause. A request that costs more counts as this much: it needs a full bucket.
        interval_ns: what one request costs, as time.
        depth_ns: what a whole burst costs, as time.
    """

    rate: int = attrs.field(validator=[ge(1), le(MAX_RATE)])
    period_ns: int = attrs.field(validator=[ge(SECOND_NS), le(MAX_PERIOD_S * SECOND_NS)])
    burst: int = attrs.field(validator=[ge(1), le(MAX_RATE)])
    interval_ns: int = attrs.field(init=False, eq=False, repr=False)
    depth_ns: int = attrs.field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        interval_ns = -(-self.period_ns // self.rate)  # rounded up: never more than the rate
        object.__setattr__(self, "interval_ns", interval_ns)
        object.__setattr__(self, "depth_ns", interval_ns * self.burst)

    def decide(self, full_at_ns: int, now_ns: int, cost: int = 1) -> Verdict:
        """Judge one request on a bucket.

        Args:
            full_at_ns: when the bucket will be full; a time that has passed, such as 0, for one that is.
            now_ns: the time.
            cost: how many requests this one counts for, at least 1.

        Returns:
            The verdict. The bucket's new state, after either, is ``now_ns + verdict.reset_ns``.
        """
        interval_ns, depth_ns = self.interval_ns, self.depth_ns
        owed_ns = full_at_ns - now_ns if full_at_ns > now_ns else 0
        cost_ns = interval_ns if cost == 1 else min(cost * interval_ns, depth_ns)
        after_ns = owed_ns + cost_ns
        if after_ns <= depth_ns:
            return Allowed((depth_ns - after_ns) // interval_ns, after_ns)
        if owed_ns > depth_ns:  # the limit was another then: under this one the bucket is empty, and no worse
            owed_ns = depth_ns
        return Denied(owed_ns + cost_ns - depth_ns, (depth_ns - owed_ns) // interval_ns, owed_ns)


@attrs.frozen(kw_only=True)
class BucketsStatistics:
    """A look at a table.

    Attributes:
        buckets: keys that have a bucket of their own.
        max_buckets: their bound.
        crowded: requests, since the start, that were judged on a shared bucket.
    """

    buckets: int
    max_buckets: int
    crowded: int


class Buckets:
    """The buckets of one limit, by key. For one thread.

    Args:
        limit: of every key.
        max_buckets: keys with a bucket of their own at once.
    """

    __slots__ = ("_crowded", "_full_at", "_hand", "_shared", "limit", "max_buckets")

    def __init__(self, limit: Limit, max_buckets: int) -> None:
        self.limit = limit
        """Replaced by `change`."""
        self.max_buckets = max_buckets
        """May be replaced; a table that is larger then shrinks as buckets become full."""
        self._full_at: dict[Hashable, int] = {}
        self._hand: deque[Hashable] = deque()  # the keys above in the order in which they are examined, each once
        self._shared = [0] * SHARED
        self._crowded = 0

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, key: Hashable, now_ns: int, cost: int = 1) -> Verdict:
        """Judge a request of `key`, and count it where it is let through.

        Args:
            key: strings and tuples of them; their hashes are seeded afresh in every process, so that nobody can aim for the
                shared bucket of another key.
            now_ns: never less than at an earlier call.
            cost: as for `Limit.decide`.
        """
        full_at_ns = self._full_at.get(key)
        if full_at_ns is None:
            return self._take_new(key, now_ns, cost)
        limit = self.limit
        if full_at_ns <= now_ns and cost == 1:  # as `decide` would say; most requests meet a full bucket
            interval_ns = limit.interval_ns
            self._full_at[key] = now_ns + interval_ns
            return Allowed(limit.burst - 1, interval_ns)
        verdict = limit.decide(full_at_ns, now_ns, cost)
        self._full_at[key] = now_ns + verdict.reset_ns
        return verdict

    def give_back(self, key: Hashable, cost: int = 1) -> None:
        """Undo a `take` of this moment: the request was refused elsewhere, and must not use this limit up."""
        owed_ns = min(cost * self.limit.interval_ns, self.limit.depth_ns)
        if key in self._full_at:
            self._full_at[key] -= owed_ns
        else:
            self._shared[hash(key) % SHARED] -= owed_ns

    def full_at_ns(self, key: Hashable) -> int:
        """When the bucket of a key, or the one that it shares, will be full if nothing else comes; a time that has passed, such
        as 0, for one that is."""
        full_at_ns = self._full_at.get(key)
        return self._shared[hash(key) % SHARED] if full_at_ns is None else full_at_ns

    def change(self, limit: Limit, now_ns: int) -> None:
        """Take another limit: who has used three requests has used three of the new burst. Costs time for each bucket."""
        old, self.limit = self.limit, limit

        def changed(full_at_ns: int) -> int:
            used_ns = max(full_at_ns - now_ns, 0) * limit.interval_ns
            return now_ns + min(-(-used_ns // old.interval_ns), limit.depth_ns)

        for key, full_at_ns in self._full_at.items():
            self._full_at[key] = changed(full_at_ns)
        self._shared = [changed(full_at_ns) for full_at_ns in self._shared]

    def statistics(self) -> BucketsStatistics:
        """How full the table is."""
        return BucketsStatistics(buckets=len(self._full_at), max_buckets=self.max_buckets, crowded=self._crowded)

    def _take_new(self, key: Hashable, now_ns: int, cost: int) -> Verdict:
        """Judge a key that has no bucket: it is full, or it shares one."""
        if len(self._full_at) >= min(_ROOMY, self.max_buckets):
            self._forget_full(now_ns)
        slot = hash(key) % SHARED
        verdict = self.limit.decide(self._shared[slot], now_ns, cost)
        full_at_ns = now_ns + verdict.reset_ns
        if len(self._full_at) < self.max_buckets:
            # From the shared one's state: what the key got there, while there was no room, is not forgotten.
            self._full_at[key] = full_at_ns
            self._hand.append(key)
        else:
            self._crowded += 1
            self._shared[slot] = full_at_ns
        return verdict

    def _forget_full(self, now_ns: int) -> None:
        """Forget the full ones among the next few, going round."""
        hand = self._hand
        for _ in range(min(_LOOKS, len(hand))):
            key = hand.popleft()
            if self._full_at[key] <= now_ns:
                del self._full_at[key]
            else:
                hand.append(key)
