"""What the generator has sent and waits for: posts with their intended times, and what people do besides.

A refused post keeps its slot for `REFUSED_PAUSE_NS`, or a closed loop would spin.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from itertools import accumulate, cycle
from random import Random
from typing import Final, Protocol, runtime_checkable

from .. import control
from ..dialects import Dialect
from ..invariants import PostLedger
from ..pace import Pace, make_pace
from ..scenarios import OpenLoop
from ..texts import Texts
from ..wire import Refusal
from .links import Poster
from .window import Window

REFUSED_PAUSE_NS: Final = 10_000_000


@runtime_checkable
class Acting(Protocol):
    """A dialect that can do more than post; both are answered like a post."""

    def typing(self, command_id: int, room: str, mask: bytes) -> bytes:
        """Say that somebody is typing."""

    def history(self, command_id: int, room: str, mask: bytes) -> bytes:
        """Read the newest page."""


class Posting:
    """The posts of one generator.

    Args:
        job: The generator's job; numbers of posts are `index`, `index + processes`, ...
        dialect: What posters speak.
        posts: Gets every number, when it is sent and when it is acknowledged.
    """

    def __init__(self, job: control.Job, dialect: Dialect, texts: Texts, posts: PostLedger) -> None:
        self._job: Final = job
        self._dialect: Final = dialect
        self._texts: Final = texts
        self._posts: Final = posts
        self._random: Final = Random(job.seed * 1_000_003 + job.index)
        self._commands = 0
        self._waiting: dict[int, tuple[int, int]] = {}  # number and intended time
        self._acting: dict[int, tuple[bool, int]] = {}  # whether it reads history, and intended time
        self._paused_until: deque[int] = deque()
        self._pace: Pace | None = None
        self._acts: list[tuple[str, Pace]] = []
        self._rooms: Iterator[int] = iter(())
        self.posters: list[Poster] = []
        self.sent = 0
        self.refused: Counter[str] = Counter()

    @property
    def unanswered(self) -> int:
        """Posts that hold a slot: without an answer, or refused just now."""
        return len(self._waiting) + len(self._paused_until)

    def begin(self, command: control.Post) -> None:
        """Take up a load."""
        start_ns, to_ns = command.start_ns, command.to_ns
        self._pace = make_pace(command.load, start_ns, to_ns) if command.load else None
        rates = {"typing": command.acts.typing, "history": command.acts.history}
        paces = {name: make_pace(OpenLoop(rate), start_ns, to_ns) for name, rate in rates.items() if rate}
        self._acts = list(paces.items()) if isinstance(self._dialect, Acting) else []
        self._rooms = self._targets(command.weights)

    def _targets(self, weights: Sequence[float]) -> Iterator[int]:
        rooms = range(len(self._job.rooms))
        if not weights:
            yield from cycle(rooms)
        bounds = list(accumulate(weights))
        while True:
            yield self._random.choices(rooms, cum_weights=bounds)[0]

    def send_due(self, now_ns: int) -> None:
        """Send what is due, one write for all posts of a connection."""
        touched: list[Poster] = []
        if self._pace is not None:
            for intended_ns in self._pace.due(now_ns, self.unanswered):
                self._post(intended_ns, touched)
        for name, pace in self._acts:
            for intended_ns in pace.due(now_ns, len(self._acting)):
                self._act(name, intended_ns, touched)
        for poster in touched:
            poster.flush()

    def next_ns(self) -> int | None:
        """When something can be due next; None: not before an answer comes."""
        times = [pace.next_ns(len(self._acting)) for _, pace in self._acts]
        if self._pace is not None:
            times.append(self._pace.next_ns(self.unanswered))
        return min((at for at in times if at is not None), default=None)

    def _post(self, intended_ns: int, touched: list[Poster]) -> None:
        number = self._job.index + self.sent * self._job.processes
        self.sent += 1
        command_id, poster = self._next()
        self._waiting[command_id] = number, intended_ns
        text = self._texts.write(number, intended_ns)
        room = next(self._rooms)
        self._posts.sent(number, room)
        if poster.post(command_id, self._job.rooms[room], text, f"{self._job.run}-{number}"):
            touched.append(poster)

    def _act(self, name: str, intended_ns: int, touched: list[Poster]) -> None:
        assert isinstance(self._dialect, Acting)
        command_id, poster = self._next()
        reads = name == "history"
        self._acting[command_id] = reads, intended_ns
        act = self._dialect.history if reads else self._dialect.typing
        if poster.put(act(command_id, self._random.choice(self._job.rooms), poster.mask)):
            touched.append(poster)

    def _next(self) -> tuple[int, Poster]:
        command_id = self._commands
        self._commands += 1
        return command_id, self.posters[command_id % len(self.posters)]

    def answered(self, command_id: int, refusal: Refusal | None, window: Window | None) -> None:
        """A command was answered."""
        now_ns = time.monotonic_ns()
        act = self._acting.pop(command_id, None)
        if act is not None:
            reads, intended_ns = act
            if refusal is not None:
                self.refused[f"{refusal.code} {refusal.message}"] += 1
            elif reads and window is not None:
                window.answered(intended_ns, now_ns)
            return
        post = self._waiting.pop(command_id, None)
        if post is None:
            return
        if refusal is not None:
            self.refused[f"{refusal.code} {refusal.message}"] += 1
            self._paused_until.append(now_ns + REFUSED_PAUSE_NS)
            return
        number, intended_ns = post
        self._posts.acked(number)
        if window is not None:
            window.acked(intended_ns, now_ns)

    def unpause(self, now_ns: int) -> None:
        """Give the slots of refused posts back when their time is up."""
        while self._paused_until and self._paused_until[0] <= now_ns:
            self._paused_until.popleft()

    def overdue(self, now_ns: int) -> list[int]:
        """Intended times of the posts that were due and have no answer, those among them that could not be sent."""
        waiting = [intended_ns for _, intended_ns in self._waiting.values()]
        return waiting + (self._pace.overdue(now_ns) if self._pace is not None else [])

    @property
    def settled(self) -> bool:
        """Whether everything was answered."""
        return not self._waiting and not self._acting and not self._paused_until
