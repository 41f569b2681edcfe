"""Acked against stored against seen: the promises of one run, checked from what everybody noted down. Pure.

A workload gives every post a name of its own (usually its text) and notes what happens to it. The audit says at once what
cannot be mended any more (an event seen twice) and at the end what never came (`finish`).

    tried ─► acked | refused | (nothing: the outcome stays open)      by the poster, for each try; retries are tries
    seen                                                              by each reader, in the order of arrival
    stored                                                            the log itself, read back at the end

Left out: who carries the posts, how a reader reads, and whether it took long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Final

import attrs

_MAX_KEPT: Final = 1000  # violations kept word for word; all are counted


class Kind(Enum):
    """What was broken."""

    LOST = "lost"
    """Acknowledged, and not in the log under the offset of its ack (G1, G4)."""
    DOUBLED = "doubled"
    """Two places in the log for one post, or one reader saw an offset twice (G4, G5)."""
    REORDERED = "reordered"
    """Offsets of the log or of a reader that do not rise, or a reader that saw another event there than the log has (G3)."""
    DROPPED = "dropped"
    """A reader that was told of nothing missed an event (G5)."""
    GHOST = "ghost"
    """Refused as certainly not stored, and there all the same; or an event nobody posted."""
    EARLY = "early"
    """Acknowledged or shown before it was durable (G1, G2)."""
    ACK_CHANGED = "ack changed"
    """Two acks of one idempotency key that differ (G4)."""
    UNCHECKED = "unchecked"
    """Acks, refusals or readers in a conversation whose log was never given to `stored`: nothing of it was compared."""


@attrs.frozen
class Violation:
    """One broken promise.

    Attributes:
        kind: which.
        conversation: where.
        detail: who, what and which offset, for people.
    """

    kind: Kind
    conversation: str
    detail: str

    def __str__(self) -> str:
        return f"{self.kind.value} in {self.conversation}: {self.detail}"


@attrs.define
class _Post:
    tries: int = 0
    refusals: int = 0
    refusal: str = ""
    ack: tuple[int, str] | None = None

    @property
    def refused(self) -> bool:
        """Every try was refused, so that nothing of it may be stored."""
        return self.ack is None and self.refusals > 0 and self.refusals >= self.tries


@attrs.define
class _Reader:
    cursor: int
    seen: list[tuple[int, str]] = attrs.field(factory=list)
    active: bool = True


@attrs.frozen
class Verdict:
    """The end of an audit.

    Attributes:
        tried, acked, refused: posts, not tries. `refused` are those every try of which was refused as not stored.
        open: posts without any answer that settles them.
        stored: events in the logs. `seen`: events taken by readers.
        counts: violations by kind; a kind that is missing was not violated.
        violations: at most the first 1,000 of them.
    """

    tried: int
    acked: int
    refused: int
    open: int
    stored: int
    seen: int
    counts: dict[Kind, int]
    violations: tuple[Violation, ...]

    @property
    def ok(self) -> bool:
        """Nothing was broken."""
        return not self.counts


class Audit:
    """One run's notebook.

    Args:
        durable: gives the post that is durable at an offset of a conversation at this moment, or None. With it acks and
            sights are compared with the disk when they happen; without it `Kind.EARLY` is not looked for.
        on_violation: called with each violation when it is found.
    """

    def __init__(
        self,
        *,
        durable: Callable[[str, int], str | None] | None = None,
        on_violation: Callable[[Violation], None] | None = None,
    ) -> None:
        self._durable = durable
        self._on_violation = on_violation
        self._posts: dict[tuple[str, str], _Post] = {}
        self._readers: dict[tuple[str, str], _Reader] = {}
        self._counts: dict[Kind, int] = {}
        self._violations: list[Violation] = []
        self._logs: dict[str, dict[int, str]] = {}

    @property
    def violations(self) -> tuple[Violation, ...]:
        """What was found so far; at most the first 1,000."""
        return tuple(self._violations)

    # -- what posters note ------------------------------------------------------------------------------------------

    def tried(self, conversation: str, post: str) -> None:
        """A post, or a retry of it under the same key, is about to be sent."""
        self._posts.setdefault((conversation, post), _Post()).tries += 1

    def acked(self, conversation: str, post: str, offset: int, message_id: str) -> None:
        """A try was acknowledged."""
        known = self._posts.setdefault((conversation, post), _Post())
        ack = (offset, message_id)
        if known.ack is not None and known.ack != ack:
            self._note(Kind.ACK_CHANGED, conversation, f"{post!r}: {known.ack}, then {ack}")
        known.ack = ack
        self._compare_with_disk(conversation, post, offset, "acked")

    def refused(self, conversation: str, post: str, code: str) -> None:
        """A try was refused with a code that says that **it** is not stored and never will be.

        Note it once for a try. Another try of the same post may have been stored all the same, so a post is held to it when
        every try was refused. `outcome_unknown`, a lost connection and a timeout are no refusals: note nothing.
        """
        known = self._posts.setdefault((conversation, post), _Post())
        known.refusals += 1
        known.refusal = code

    # -- what readers note ------------------------------------------------------------------------------------------

    def reads(self, reader: str, conversation: str, after: int) -> None:
        """A reader begins, or begins anew, after an offset (what it had seen before counts no more)."""
        known = self._readers.get((conversation, reader))
        if known is None:
            self._readers[conversation, reader] = _Reader(after)
        else:
            known.cursor, known.active = after, True

    def resumes(self, reader: str, conversation: str) -> int:
        """The offset after which a reader that was interrupted goes on."""
        return self._readers[conversation, reader].cursor

    def seen(self, reader: str, conversation: str, offset: int, post: str) -> None:
        """A reader got a durable event."""
        known = self._readers[conversation, reader]
        if offset <= known.cursor:
            again = (offset, post) in known.seen
            kind = Kind.DOUBLED if again else Kind.REORDERED
            self._note(kind, conversation, f"{reader} got {offset} ({post!r}) after {known.cursor}")
            return
        if offset > known.cursor + 1:
            self._note(Kind.DROPPED, conversation, f"{reader} got {offset} after {known.cursor}")
        known.cursor = offset
        known.seen.append((offset, post))
        self._compare_with_disk(conversation, post, offset, f"seen by {reader}")

    def leaves(self, reader: str, conversation: str) -> None:
        """A reader is gone for good, by its own will or told why: it need not have seen the rest."""
        known = self._readers.get((conversation, reader))
        if known is not None:
            known.active = False

    # -- the log ----------------------------------------------------------------------------------------------------

    def stored(self, conversation: str, events: Iterable[tuple[int, str, str]]) -> None:
        """The whole log of a conversation as (offset, message id, post), in its own order."""
        log = self._logs.setdefault(conversation, {})
        places: dict[str, int] = {}
        expected = 0
        for offset, message_id, post in events:
            expected += 1
            if offset != expected:
                self._note(Kind.REORDERED, conversation, f"the log has {offset} where {expected} should be")
                expected = offset
            log[offset] = post
            if post in places:
                self._note(Kind.DOUBLED, conversation, f"{post!r} is stored at {places[post]} and {offset}")
                continue  # one of its places is not that of its ack: that is the same fault, not another
            places[post] = offset
            self._compare_with_ack(conversation, post, offset, message_id)
        for (where, post), known in self._posts.items():
            if where == conversation and known.ack is not None and post not in places:
                self._note(Kind.LOST, conversation, f"{post!r} was acked at {known.ack[0]} and is not stored")

    def _compare_with_ack(self, conversation: str, post: str, offset: int, message_id: str) -> None:
        known = self._posts.get((conversation, post))
        if known is None:
            self._note(Kind.GHOST, conversation, f"{post!r} at {offset} was posted by nobody")
        elif known.ack is not None and known.ack != (offset, message_id):
            self._note(Kind.LOST, conversation, f"{post!r} was acked as {known.ack} and is {(offset, message_id)}")
        elif known.refused:
            self._note(Kind.GHOST, conversation, f"{post!r} was refused ({known.refusal}) and is stored at {offset}")

    # -- the end ----------------------------------------------------------------------------------------------------

    def finish(self) -> Verdict:
        """Compare what readers saw with the logs that `stored` was given, and add up. Call it once, at the end.

        Every conversation in which something was promised needs its log.
        """
        for (conversation, name), reader in self._readers.items():
            log = self._logs.get(conversation)
            if log is not None:
                self._finish_reader(conversation, name, reader, log)
        self._note_unchecked()
        posts = self._posts.values()
        acked = sum(post.ack is not None for post in posts)
        refused = sum(post.refused for post in posts)
        return Verdict(
            tried=len(posts),
            acked=acked,
            refused=refused,
            open=len(posts) - acked - refused,
            stored=sum(len(log) for log in self._logs.values()),
            seen=sum(len(reader.seen) for reader in self._readers.values()),
            counts=dict(self._counts),
            violations=self.violations,
        )

    def _note_unchecked(self) -> None:
        promised = {where for (where, _), post in self._posts.items() if post.ack is not None or post.refusals}
        promised.update(where for where, _ in self._readers)
        for conversation in sorted(promised - self._logs.keys()):
            self._note(Kind.UNCHECKED, conversation, "its log was never given to the audit")

    def _finish_reader(self, conversation: str, name: str, reader: _Reader, log: dict[int, str]) -> None:
        for offset, post in reader.seen:
            if offset not in log:
                self._note(Kind.LOST, conversation, f"{name} saw {post!r} at {offset}, which is not in the log")
            elif log[offset] != post:
                self._note(
                    Kind.REORDERED, conversation, f"{name} saw {post!r} at {offset}, the log has {log[offset]!r}"
                )
        head = max(log, default=0)
        if reader.active and reader.cursor < head:
            self._note(Kind.DROPPED, conversation, f"{name} stands at {reader.cursor} of {head}")

    # -- inside -----------------------------------------------------------------------------------------------------

    def _compare_with_disk(self, conversation: str, post: str, offset: int, how: str) -> None:
        if self._durable is None:
            return
        there = self._durable(conversation, offset)
        if there is None:
            self._note(Kind.EARLY, conversation, f"{post!r} was {how} at {offset}, where nothing is durable")
        elif there != post:
            self._note(Kind.REORDERED, conversation, f"{post!r} was {how} at {offset}, where {there!r} is durable")

    def _note(self, kind: Kind, conversation: str, detail: str) -> None:
        violation = Violation(kind, conversation, detail)
        self._counts[kind] = self._counts.get(kind, 0) + 1
        if len(self._violations) < _MAX_KEPT:
            self._violations.append(violation)
        if self._on_violation is not None:
            self._on_violation(violation)
