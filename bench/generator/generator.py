"""The generator: obeys the commands of `control.py` one after another, on the loop of `loop.py`.

Left out: TLS. A reader that is cut off stays off and is reported; only `Return` connects readers again.
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from random import Random
from typing import Final

from .. import control
from ..dialects import Join
from ..dialects.names import dialect
from ..invariants import PostLedger, Verdict
from ..measure import Histogram
from ..pace import make_pace
from ..scenarios import OpenLoop
from ..texts import Texts
from ..wire import Refusal
from .links import Link, Phase, Poster, Reader
from .loop import PATIENCE_S, Loop
from .posting import Posting
from .seats import Notes, Room, Seat
from .turnover import Turnover
from .window import Counts, Window, marks

_PROGRESS_NS: Final = 500_000_000


class GiveUp(Exception):
    """The generator cannot do what it was told."""


class Abandoned(Exception):
    """Nobody waits for the result of a command any more."""


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


class Generator:
    """One generator process: its links and its counts.

    Args:
        job: What to connect to.
        commands: Descriptor to read command lines from; its end of file ends the generator.
        reports: Descriptor to write report lines to.
    """

    def __init__(self, job: control.Job, commands: int, reports: int) -> None:
        self._job: Final = job
        self._loop: Final = Loop(commands, reports, self._read)
        self._dialect: Final = dialect(job.dialect)
        self._post_dialect: Final = dialect(job.post_dialect)
        self._posts: Final = PostLedger()
        texts = Texts(job.run, job.text_bytes, job.seed)
        self._posting: Final = Posting(job, self._post_dialect, texts, self._posts)
        notes = Notes(texts, self._posts)
        self._rooms: Final = [Room(i, name, len(job.rooms), self._dialect, notes) for i, name in enumerate(job.rooms)]
        self._seats: list[Seat] = []
        self._seat_of: dict[Link, Seat] = {}
        self._random: Final = Random(job.seed * 7919 + job.index)
        self._sample_every = 1
        self._seated = 0
        self._connections = 0
        self._live_links: set[Link] = set()
        self._joining = True
        self._took = Histogram()
        self._caught_up = Histogram()
        self._returned_ns = 0
        self._window: Window | None = None
        self._left = Verdict()
        self._left_delivered = 0
        self._cut_off: Counter[str] = Counter()
        self._posters_cut = 0
        self._progress_ns = 0

    def run(self) -> None:
        """Obey until the commands end."""
        with contextlib.suppress(BrokenPipeError), contextlib.closing(self._loop):  # killed: nobody to report to
            try:
                while (command := self._loop.next_command(self._between)) is not None:
                    self._loop.report(self._obey(command))
            except GiveUp as exc:
                self._loop.report(control.Failed(str(exc)))
            except Abandoned:
                return

    def _obey(self, command: control.Command) -> control.Report:
        match command:
            case control.Connect():
                return self._connect(command)
            case control.Post():
                return self._post(command)
            case control.Drop():
                return self._drop()
            case control.Return():
                return self._return(command)
            case control.Stall():
                return self._stall(command)
            case control.Finish():
                return self._finish(command)

    # What links ask of us (links.Owner).

    def watch(self, link: Link, events: int) -> None:
        self._loop.watch(link, events)

    def joined(self, link: Link) -> None:
        self._live_links.add(link)
        took_ns = time.monotonic_ns() - link.started_ns
        self._took.record(took_ns)
        if self._window is not None:
            self._window.joined.record(took_ns)
        seat = self._seat_of.get(link)
        if seat is not None:
            seat.reached()
            self._set_noticed(seat)

    def gone(self, link: Link, reason: str) -> None:
        self._loop.leave(link)
        if self._joining:
            raise GiveUp(f"a connection failed after {self._live} were made: {reason}")
        self._live_links.discard(link)
        if isinstance(link, Reader):
            self._cut_off[reason] += 1
            self._seat_of.pop(link, None)
        elif isinstance(link, Poster):
            self._cut_off[f"while posting: {reason}"] += 1
            self._posters_cut += 1
            self._posting.posters.remove(link)
            if not self._posting.posters:
                raise GiveUp(f"the last posting connection ended: {reason}")

    def answered(self, command_id: int, refusal: Refusal | None) -> None:
        self._posting.answered(command_id, refusal, self._window)

    # Between the links' turns.

    def _read(self, link: Link) -> None:
        link.readable()
        if link.noticed and (seat := self._seat_of.get(link)) is not None:
            self._notice(seat)

    def _notice(self, seat: Seat) -> None:
        """Take the latencies of a sampled reader, and see whether a returning one has what it missed."""
        now_ns = time.monotonic_ns()  # not before the read: another process may have sent what was read just now
        if seat.sampled and seat.follower is not None:
            for intended_ns in seat.follower.fresh():
                if self._window is not None:
                    self._window.delivered(intended_ns, now_ns)
        if seat.target is not None:
            seat.reached()
            self._set_noticed(seat)

    @staticmethod
    def _set_noticed(seat: Seat) -> None:
        if seat.link is not None:
            seat.link.noticed = seat.sampled or seat.target is not None

    def _between(self) -> None:
        now_ns = time.monotonic_ns()
        self._posting.unpause(now_ns)
        if now_ns >= self._progress_ns:
            self._progress_ns = now_ns + _PROGRESS_NS
            sent, acked = self._posting.sent, self._posts.acked_count()
            self._loop.report(control.Progress(self._live, sent, acked, self._delivered()))

    def _turn(self, wait_s: float) -> None:
        self._loop.turn(wait_s)
        if self._loop.ended:
            raise Abandoned
        self._between()

    def _turn_until(self, done: Callable[[], bool], deadline_ns: int) -> bool:
        while not done():
            if time.monotonic_ns() >= deadline_ns:
                return False
            self._turn(PATIENCE_S)
        return True

    def _delivered(self) -> int:
        return self._left_delivered + sum(seat.delivered() for seat in self._seats)

    def _counts(self) -> Counts:
        return Counts(time.monotonic_ns(), self._posting.sent, self._delivered(), self._posts.acked_count(), _cpu_s())

    # Connections.

    @property
    def _live(self) -> int:
        return len(self._live_links)

    def _token(self) -> str:
        self._connections += 1
        return self._job.tokens[self._connections % len(self._job.tokens)]

    def _join_of(self, room: str | None, after: int | None = None, epoch: str = "") -> Join:
        name = self._job.host
        host = f"[{name}]:{self._job.port}" if ":" in name else f"{name}:{self._job.port}"
        return Join(host=host, token=self._token(), room=room, after=after, epoch=epoch, mask=os.urandom(4))

    def _open_poster(self) -> None:
        address = (self._job.host, self._job.port)
        with self._opening():
            self._posting.posters.append(Poster(self, self._post_dialect, address, self._join_of(None)))

    def _open_reader(self, seat: Seat) -> None:
        after = None if seat.follower is None else seat.follower.interrupted()
        address = (self._job.host, self._job.port)
        join = self._join_of(seat.room.name, after, seat.epoch)
        with self._opening():
            seat.link = Reader(self, self._dialect, address, join, seat.follow)
        self._seat_of[seat.link] = seat

    @contextlib.contextmanager
    def _opening(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:  # no descriptor, no such host
            raise GiveUp(f"no connection beside {self._live} others: {exc}") from exc

    def _take_seat(self, room: Room) -> Seat:
        sampled = self._seated % self._sample_every == 0
        self._seated += 1
        seat = Seat(room, sampled=sampled, caught_up=self._one_caught_up)
        self._seats.append(seat)
        return seat

    def _one_caught_up(self) -> None:
        self._caught_up.record(time.monotonic_ns() - self._returned_ns)

    def _open_all(self, openings: Iterable[Callable[[], None]], count: int, timeout_s: float) -> control.Connected:
        """Open connections, at most `parallel` in their handshake at any time."""
        started_ns = time.monotonic_ns()
        deadline_ns = started_ns + int(timeout_s * 1e9)
        cpu_s = _cpu_s()
        self._joining, self._took = True, Histogram()
        base, opened, more = self._live, 0, iter(openings)
        while self._live - base < count:
            while opened < min(count, self._live - base + self._job.parallel):
                next(more)()
                opened += 1
            self._turn(0.1)
            if time.monotonic_ns() > deadline_ns:
                raise GiveUp(f"only {self._live - base} of {count} connections within {timeout_s:g} s")
        self._joining = False
        seconds = (time.monotonic_ns() - started_ns) / 1e9
        return control.Connected(
            connections=count, seconds=seconds, cpu_s=_cpu_s() - cpu_s, took=self._took, caught_up=Histogram()
        )

    # The commands.

    def _connect(self, command: control.Connect) -> control.Connected:
        readers = sum(command.readers)
        self._sample_every = max(1, readers // max(1, self._job.sample))
        rooms = [room for room, count in zip(self._rooms, command.readers, strict=True) for _ in range(count)]

        def openings() -> Iterable[Callable[[], None]]:
            for _ in range(command.posters):
                yield self._open_poster
            for room in rooms:
                yield lambda room=room: self._open_reader(self._take_seat(room))  # type: ignore[misc]

        return self._open_all(openings(), readers + command.posters, command.timeout_s)

    def _drop(self) -> control.Done:
        for link in self._seat_of:
            link.phase = Phase.CLOSED
            self._loop.leave(link)
        self._live_links.difference_update(self._seat_of)
        self._seat_of.clear()
        return control.Done()

    def _return(self, command: control.Return) -> control.Connected:
        seats = [seat for seat in self._seats if seat.link is not None and seat.link.phase is Phase.CLOSED]
        self._caught_up = Histogram()
        self._returned_ns, cpu_s = time.monotonic_ns(), _cpu_s()
        for seat in seats:
            seat.target = command.last_offsets.get(seat.room.name, 0)
        deadline_ns = self._returned_ns + int(command.timeout_s * 1e9)
        connected = self._open_all(
            (lambda seat=seat: self._open_reader(seat) for seat in seats),  # type: ignore[misc]
            len(seats),
            command.timeout_s,
        )
        self._turn_until(lambda: self._caught_up.count == len(seats), deadline_ns)
        return control.Connected(
            connections=len(seats),
            seconds=(time.monotonic_ns() - self._returned_ns) / 1e9,
            cpu_s=_cpu_s() - cpu_s,
            took=connected.took,
            caught_up=self._caught_up,
            unresumed=sum(not seat.resumed for seat in seats),
        )

    def _stall(self, command: control.Stall) -> control.Done:
        live = [seat for seat in self._seats if seat.live]
        every = max(1, len(live) // max(1, command.readers))
        # From the end of each stretch, so that the sampled readers, at the beginnings, go on.
        for seat in live[every - 1 :: every][: command.readers]:
            assert seat.link is not None
            seat.stalled = True
            seat.link.stall()
        return control.Done()

    def _post(self, command: control.Post) -> control.Posted:
        """Post and measure; then wait for the answers and the deliveries."""
        window = self._window = Window(command.from_ns, command.to_ns)
        self._posting.begin(command)
        turnover = self._turnover(command)
        gc.collect()
        gc.freeze()  # the links are here to stay: a full collection would stop the loop for milliseconds
        left = marks(command.from_ns, command.to_ns)
        while left:
            now_ns = time.monotonic_ns()
            if now_ns >= left[0]:
                left.popleft()
                interval = window.mark(self._counts())
                if interval is not None:
                    self._loop.report(interval)
                continue
            self._posting.send_due(now_ns)
            if turnover is not None:
                turnover.step(now_ns)
            self._turn(min((self._next_ns(left, turnover) - now_ns) / 1e9, PATIENCE_S))
        return self._settle(window, command.drain_s)

    def _next_ns(self, left: deque[int], turnover: Turnover | None) -> int:
        times = [left[0], self._posting.next_ns(), turnover.next_ns() if turnover else None]
        return min(at for at in times if at is not None)

    def _settle(self, window: Window, drain_s: float) -> control.Posted:
        def answered() -> bool:
            self._posting.send_due(time.monotonic_ns())  # what a schedule held and could not be sent in time
            return self._posting.settled

        deadline_ns = time.monotonic_ns() + int(drain_s * 1e9)
        self._turn_until(answered, deadline_ns)
        self._turn_until(self._all_seen, deadline_ns)
        last = self._last_offsets()
        self._turn_until(lambda: not self._behind(last), deadline_ns)
        self._window = None
        now_ns = time.monotonic_ns()
        overdue = self._posting.overdue(now_ns)
        for intended_ns in overdue:  # left out, the slowest would not count at all
            window.acked(intended_ns, now_ns)
        return window.result(
            last_offsets=last,
            unanswered=len(overdue),
            behind=self._behind(last),
            sent=self._posting.sent,
            kept=self._posts.acked_count(),
        )

    def _all_seen(self) -> bool:
        """Whether readers were sent all that was acknowledged, and all who come have come; without readers it is so."""
        if any(seat.joining for seat in self._seats):
            return False
        return not self._posts.lost() or not any(seat.live for seat in self._seats)

    def _turnover(self, command: control.Post) -> Turnover | None:
        rate = command.acts.turnover
        if not rate:
            return None
        pace = make_pace(OpenLoop(rate), command.start_ns, command.to_ns)
        return Turnover(pace, self._random, self._seats, self._arrive, self._leave)

    def _arrive(self, room: Room) -> Seat:
        seat = self._take_seat(room)
        self._open_reader(seat)
        return seat

    def _leave(self, seat: Seat) -> None:
        assert seat.link is not None
        self._left = self._left.plus(seat.leave())
        self._left_delivered += seat.delivered()
        seat.link.phase = Phase.CLOSED
        self._loop.leave(seat.link)
        del self._seat_of[seat.link]
        self._live_links.discard(seat.link)
        self._seats.remove(seat)

    def _last_offsets(self) -> dict[str, int]:
        last = {room.name: room.last_offset() for room in self._rooms}
        for seat in self._seats:
            if seat.follower is not None:
                last[seat.room.name] = max(last[seat.room.name], seat.follower.next_offset() - 1)
        return last

    def _behind(self, last_offsets: dict[str, int]) -> int:
        """Connected readers that were not sent their room's offset yet."""
        return sum(seat.behind(last_offsets.get(seat.room.name, 0)) for seat in self._seats)

    def _finish(self, command: control.Finish) -> control.Finished:
        deadline_ns = time.monotonic_ns() + int(command.timeout_s * 1e9)
        self._turn_until(lambda: not self._behind(command.last_offsets), deadline_ns)
        verdict = self._left.plus(
            Verdict(
                posts_acked=self._posts.acked_count(),
                posts_lost=self._posts.lost(),
                posts_doubled=self._posts.doubled,
                corrupted=self._posts.corrupted,
                cut_off=self._posters_cut,
            )
        )
        for seat in self._seats:
            verdict = verdict.plus(seat.verdict(command.last_offsets.get(seat.room.name, 0)))
        return control.Finished(refused=dict(self._posting.refused), cut_off=dict(self._cut_off), verdict=verdict)
