"""The generator: thousands of connections in one process on one plain epoll loop. Run as `python -m hubbub.bench.load`.

No trio and no task per connection here: the generator shares the machine with the server it measures, so what it
spends is kept small, and reported. It obeys the commands of `control.py` one after another; between and during them
every turn reads at most `READY_PER_TURN` sockets, so that a post that is due waits for no more than that.

Left out: TLS, reconnecting (a reader that is cut off stays off and is reported).
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import select
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Final

from . import control, wire
from .invariants import PostLedger, Verdict, reader_verdict
from .links import Link, Phase, Poster, Reader
from .measure import Histogram
from .pace import Pace, make_pace
from .stream import Follower, Stream
from .texts import CorruptText, Texts

READY_PER_TURN: Final = 256
REFUSED_PAUSE_NS: Final = 10_000_000  # a refused post keeps its slot this long, or a closed loop would spin
_PROGRESS_NS: Final = 500_000_000
_PATIENCE_S: Final = 0.02


class GiveUp(Exception):
    """The generator cannot do what it was told."""


class _Window:
    """What was there at the start and at the end of the measured time."""

    def __init__(self) -> None:
        self.marks: list[tuple[int, int, int, float]] = []

    def mark(self, delivered: int, acked: int) -> None:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        self.marks.append((time.monotonic_ns(), delivered, acked, usage.ru_utime + usage.ru_stime))

    def differences(self) -> tuple[float, int, int, float]:
        """Seconds, deliveries, acks, CPU seconds; zeros when nothing was measured."""
        if len(self.marks) < 2:
            return 0.0, 0, 0, 0.0
        (t0, d0, a0, c0), (t1, d1, a1, c1) = self.marks[0], self.marks[-1]  # of several windows the first and the last
        return (t1 - t0) / 1e9, d1 - d0, a1 - a0, c1 - c0


class Generator:
    """One generator process: its links, its counts, and the loop.

    Args:
        job: What to connect to.
        commands: Descriptor to read command lines from; its end of file ends the generator.
        reports: Descriptor to write report lines to.
    """

    def __init__(self, job: control.Job, commands: int, reports: int) -> None:
        self._job: Final = job
        self._commands: Final = commands
        self._reports: Final = reports
        self._command_bytes = b""
        self._commands_ended = False
        self._epoll: Final = select.epoll()
        self._links: dict[int, Link] = {}
        self._watched: dict[int, int] = {}
        self._readers: list[Reader] = []
        self._posters: list[Poster] = []
        self._leaving: list[Link] = []
        self._live = 0
        self._joining = True
        self._took = Histogram()
        self._delivery = Histogram()  # of the present window; `_post` adds them to the sums
        self._ack = Histogram()
        self._delivery_sum: Final = Histogram()
        self._ack_sum: Final = Histogram()
        self._measured_ns = range(0)
        self._window: Final = _Window()
        self._texts: Final = Texts(job.run, job.text_bytes, job.seed)
        self._posts: Final = PostLedger()
        self._stream: Stream | None = None
        self._sample_every = 1
        self._followers = 0
        self._sent = 0
        self._unanswered = 0
        self._paused_until: deque[int] = deque()
        self._refused: Counter[str] = Counter()
        self._cut_off: Counter[str] = Counter()
        self._progress_ns = 0

    def run(self) -> None:
        """Obey until the commands end."""
        self._epoll.register(self._commands, select.EPOLLIN)
        try:
            while (command := self._next_command()) is not None:
                match command:
                    case control.Connect():
                        self._report(self._connect(command))
                    case control.Post():
                        self._report(self._post(command))
                    case control.Finish():
                        self._report(self._finish(command))
        except GiveUp as exc:
            self._report(control.Failed(str(exc)))
        finally:
            for link in self._links.values():
                link.sock.close()
            self._epoll.close()

    # What links ask of us (links.Owner).

    def watch(self, link: Link, events: int) -> None:
        fd = link.sock.fileno()
        if fd not in self._links:
            self._links[fd] = link
            self._epoll.register(fd, events)
        elif self._watched[fd] != events:
            self._epoll.modify(fd, events)
        self._watched[fd] = events

    def joined(self, link: Link) -> None:
        self._live += 1
        self._took.record(time.monotonic_ns() - link.started_ns)

    def gone(self, link: Link, reason: str) -> None:
        self._leaving.append(link)
        if self._joining:
            raise GiveUp(f"a connection failed after {self._live} were made: {reason}")
        self._live -= 1
        if isinstance(link, Reader):
            self._cut_off[reason] += 1
        elif isinstance(link, Poster):
            self._posters.remove(link)
            if not self._posters:
                raise GiveUp(f"the last posting connection ended: {reason}")

    def follow(self, offset: int) -> Follower:
        if self._stream is None:
            self._stream = Stream(offset + 1, self._note)
        sampled = self._followers % self._sample_every == 0
        self._followers += 1
        return Follower(self._stream, offset + 1, sampled=sampled)

    def answered(self, number: int, intended_ns: int, refusal: wire.Refusal | None) -> None:
        now_ns = time.monotonic_ns()
        if refusal is not None:
            self._refused[f"{refusal.code} {refusal.message}"] += 1
            self._paused_until.append(now_ns + REFUSED_PAUSE_NS)
            return
        self._unanswered -= 1
        self._posts.acked(number)
        if intended_ns in self._measured_ns:
            self._ack.record(now_ns - intended_ns)

    def _note(self, offset: int, publication: wire.Publication) -> int:
        message = publication.data.message
        if message is None:
            return 0
        try:
            mark = self._texts.read(message.text)
        except CorruptText:
            self._posts.corrupted += 1
            return 0
        if mark is None:
            return 0
        self._posts.seen(mark.number, offset)
        return mark.intended_ns

    # The loop.

    def _turn(self, wait_s: float) -> None:
        """Wait for something to do, at most this long, and do it."""
        for fd, events in self._epoll.poll(max(0, int(wait_s * 1000)) / 1000, READY_PER_TURN):
            link = self._links.get(fd)
            if link is None:
                if fd == self._commands:
                    self._read_commands()
                continue
            if events & select.EPOLLOUT:
                link.writable()
            if events & ~select.EPOLLOUT and link.phase is not Phase.CLOSED:
                self._read(link)
        for link in self._leaving:
            fd = link.sock.fileno()
            self._epoll.unregister(fd)
            del self._links[fd], self._watched[fd]
            link.sock.close()
        self._leaving.clear()
        now_ns = time.monotonic_ns()
        while self._paused_until and self._paused_until[0] <= now_ns:
            self._paused_until.popleft()
            self._unanswered -= 1
        if now_ns >= self._progress_ns:
            self._progress_ns = now_ns + _PROGRESS_NS
            self._report(control.Progress(self._live, self._sent, self._posts.acked_count(), self._delivered()))

    def _read(self, link: Link) -> None:
        now_ns = time.monotonic_ns()
        link.readable()
        if isinstance(link, Reader) and link.follower is not None and link.follower.sampled:
            for intended_ns in link.follower.fresh():
                if intended_ns in self._measured_ns:
                    self._delivery.record(now_ns - intended_ns)

    def _turn_until(self, done: Callable[[], bool], deadline_ns: int) -> bool:
        while not done():
            if time.monotonic_ns() >= deadline_ns:
                return False
            self._turn(_PATIENCE_S)
        return True

    def _read_commands(self) -> None:
        data = os.read(self._commands, 65536)
        self._command_bytes += data
        if not data:
            self._commands_ended = True
            self._epoll.unregister(self._commands)

    def _next_command(self) -> control.Command | None:
        while b"\n" not in self._command_bytes:
            if self._commands_ended:
                return None
            self._turn(0.5)
        line, _, self._command_bytes = self._command_bytes.partition(b"\n")
        return control.read_command(line)

    def _report(self, report: control.Report) -> None:
        data = control.line(report)
        while data:
            data = data[os.write(self._reports, data) :]

    def _delivered(self) -> int:
        return sum(reader.follower.delivered() for reader in self._readers if reader.follower)

    # The commands.

    def _connect(self, command: control.Connect) -> control.Connected:
        """Open the connections, at most `parallel` in their handshake at any time."""
        job = self._job
        address = (job.host, job.port)
        started_ns = time.monotonic_ns()
        deadline_ns = started_ns + int(command.timeout_s * 1e9)
        target = len(self._readers) + len(self._posters) + command.readers + command.posters
        self._sample_every = max(1, command.readers // max(1, job.sample))
        self._joining, self._took = True, Histogram()
        posters = len(self._posters) + command.posters
        while self._live < target:
            while (opened := len(self._readers) + len(self._posters)) < min(target, self._live + job.parallel):
                token = job.tokens[opened % len(job.tokens)]
                if len(self._posters) < posters:
                    self._posters.append(Poster(self, address, token, job.room, job.run))
                else:
                    self._readers.append(Reader(self, address, token, job.room))
            self._turn(0.1)
            if time.monotonic_ns() > deadline_ns:
                raise GiveUp(f"only {self._live} of {target} connections within {command.timeout_s:g} s")
        self._joining = False
        seconds = (time.monotonic_ns() - started_ns) / 1e9
        return control.Connected(command.readers + command.posters, seconds, self._took)

    def _post(self, command: control.Post) -> control.Posted:
        """Post and measure; then wait for the answers and the deliveries."""
        self._delivery, self._ack = Histogram(), Histogram()
        pace = make_pace(command.load, command.start_ns, command.to_ns) if command.load else None
        self._measured_ns = range(command.from_ns, command.to_ns)
        gc.collect()
        gc.freeze()  # the links are here to stay: a full collection would stop the loop for milliseconds
        due_marks = [command.from_ns, command.to_ns]
        while due_marks:
            now_ns = time.monotonic_ns()
            if now_ns >= due_marks[0]:
                self._window.mark(self._delivered(), self._posts.acked_count())
                due_marks.pop(0)
                continue
            next_ns = due_marks[0]
            if pace is not None:
                self._send_due(pace)
                pace_ns = pace.next_ns(self._unanswered)
                next_ns = next_ns if pace_ns is None else min(next_ns, pace_ns)
            self._turn(min((next_ns - now_ns) / 1e9, _PATIENCE_S))

        def answered() -> bool:
            if pace is not None:
                self._send_due(pace)  # what an open loop's schedule held and could not be sent in time
            return self._unanswered == 0

        drained_ns = time.monotonic_ns() + int(command.drain_s * 1e9)
        self._turn_until(answered, drained_ns)
        last = self._stream.next_offset - 1 if self._stream else 0
        last = max([last, *self._reached()], default=last)
        self._turn_until(lambda: not self._behind(last), drained_ns)
        self._delivery_sum.merge(self._delivery)
        self._ack_sum.merge(self._ack)
        return control.Posted(
            last_offset=last,
            unanswered=self._unanswered,
            behind=self._behind(last),
            delivery=self._delivery,
            ack=self._ack,
        )

    def _send_due(self, pace: Pace) -> None:
        for intended_ns in pace.due(time.monotonic_ns(), self._unanswered):
            number = self._sent
            self._sent += 1
            self._unanswered += 1
            text = self._texts.write(number, intended_ns)
            self._posters[number % len(self._posters)].post(number, intended_ns, text)

    def _reached(self) -> list[int]:
        return [reader.follower.settled().expect - 1 for reader in self._readers if reader.follower]

    def _behind(self, offset: int) -> int:
        """Connected readers that were not sent this offset yet."""
        live = (reader.follower for reader in self._readers if reader.phase is Phase.LIVE)
        return sum(follower.settled().expect <= offset for follower in live if follower)

    def _finish(self, command: control.Finish) -> control.Finished:
        deadline_ns = time.monotonic_ns() + int(command.timeout_s * 1e9)
        self._turn_until(lambda: not self._behind(command.last_offset), deadline_ns)
        verdict = Verdict(
            posts_acked=self._posts.acked_count(),
            posts_lost=self._posts.lost(),
            posts_doubled=self._posts.doubled,
            corrupted=self._posts.corrupted,
        )
        for reader in self._readers:
            if reader.follower is not None:
                account = reader.follower.settled().finish(command.last_offset)
                verdict = verdict.plus(reader_verdict(account, cut_off=reader.phase is not Phase.LIVE))
        window_s, delivered, acked, cpu_s = self._window.differences()
        return control.Finished(
            window_s=window_s,
            delivered=delivered,
            acked=acked,
            sent=self._sent,
            cpu_s=cpu_s,
            refused=dict(self._refused),
            cut_off=dict(self._cut_off),
            delivery=self._delivery_sum,
            ack=self._ack_sum,
            verdict=verdict,
        )


def main() -> None:
    """Read the job from the first line of stdin, then obey."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    line = b""
    while not line.endswith(b"\n"):  # unbuffered: what follows belongs to the loop
        byte = os.read(0, 1)
        if not byte:
            return
        line += byte
    job = control.read_job(line)
    if job.cpu is not None:
        os.sched_setaffinity(0, {job.cpu})
    with contextlib.suppress(BrokenPipeError):  # the bench was killed: nobody left to report to
        Generator(job, 0, 1).run()


if __name__ == "__main__":
    main()
