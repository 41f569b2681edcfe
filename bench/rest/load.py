"""The REST generator: keep-alive connections in one process on one plain epoll loop. Run as `python -m hubbub.bench.rest.load`.

It obeys `control.py`: connect, fill the rooms where reads are to come, wait for `Go`, ask at the load's pace, read the
rooms back, report. A request is given to whichever connection is free; where none is, it waits with its intended time,
so that a slow server shows in the latency of every request that it delayed.

Left out: TLS, pipelining, reconnecting (a connection that is cut off stays off and is reported).
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import select
import socket
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Final

import attrs
import msgspec

from ..invariants import Verdict
from ..measure import Histogram
from ..pace import Pace, make_pace
from ..texts import Texts
from . import control
from .audit import Audit, Step, Unreadable
from .ledger import Message, RestLedger
from .link import Asked, Link
from .pages import Expected
from .wire import Answer, Requests

READY_PER_TURN: Final = 256
REFUSED_PAUSE_NS: Final = 10_000_000  # a refused request keeps its slot this long, or a closed loop would spin
AUDIT_CONNECTIONS: Final = 4
CONNECT_S: Final = 10.0
FILL_S: Final = 60.0
AUDIT_S: Final = 60.0
_FILL_MORE: Final = 10  # messages of a room beyond one page, so that a page has an older one behind it
_PROGRESS_NS: Final = 500_000_000
_PATIENCE_S: Final = 0.02
_BASE: Final = "/api/v1/conversations/"

_read_message: Final = msgspec.json.Decoder(Message).decode
_encode: Final = msgspec.json.Encoder().encode


class GiveUp(Exception):
    """The generator cannot do what it was told."""


class _Problem(msgspec.Struct):
    code: str = ""


class Generator:
    """One generator process: its links, its counts, and the loop.

    Args:
        job: What to connect to, and the load.
        commands: Descriptor to read `Go` from.
        reports: Descriptor to write report lines to.
    """

    def __init__(self, job: control.Job, commands: int, reports: int) -> None:
        self._job: Final = job
        self._commands: Final = commands
        self._reports: Final = reports
        self._epoll: Final = select.epoll()
        self._links: dict[int, Link] = {}
        self._free: deque[Link] = deque()
        self._leaving: list[Link] = []
        self._ledger: Final = RestLedger(Texts(job.run, job.text_bytes, job.seed), len(job.rooms))
        self._expected: list[Expected] = []
        self._stage = "connecting"
        self._due: deque[int] = deque()  # intended times of requests that wait for a free link
        self._paused_until: deque[int] = deque()
        self._unanswered = 0  # in flight, waiting for a link, or refused a moment ago
        self._asked = self._answered = self._pages = self._wrong = 0
        self._window = range(0)
        self._seconds: list[Histogram] = []
        self._refused: Counter[str] = Counter()
        self._cut_off: Counter[str] = Counter()
        self._progress_ns = 0

    def run(self) -> None:
        """Connect, wait for `Go`, work, report."""
        try:
            self._epoll.register(self._commands, select.EPOLLIN)  # between its lines only its end can come
            self._connect(self._job.connections)
            if self._job.part == "reads":
                self._fill()
            self._report(control.Ready(len(self._links)))
            command = _line(self._commands)
            if command:
                self._work(control.read_go(command))
        except GiveUp as exc:
            self._report(control.Failed(str(exc)))
        finally:
            for link in self._links.values():
                link.sock.close()
            self._epoll.close()

    # What links ask of us (link.Owner).

    def watch(self, link: Link, events: int) -> None:
        fd = link.sock.fileno()
        if fd in self._links:
            self._epoll.modify(fd, events)
        else:
            self._links[fd] = link
            self._epoll.register(fd, events)

    def free(self, link: Link) -> None:
        self._free.append(link)

    def gone(self, link: Link, reason: str) -> None:
        self._leaving.append(link)
        self._cut_off[reason] += 1
        self._unanswered -= link.asked is not None

    # The loop.

    def _turn(self, wait_s: float) -> None:
        """Wait for something to do, at most this long, and do it."""
        links = self._links
        for fd, events in self._epoll.poll(max(0.0, wait_s), READY_PER_TURN):
            if fd == self._commands:
                raise GiveUp("nobody waits for the result any more")
            link = links[fd]
            if events & select.EPOLLOUT:
                link.writable()
            if events & ~select.EPOLLOUT and not link.over:
                link.readable()
        if self._leaving:
            self._bury()
        now_ns = time.monotonic_ns()
        while self._paused_until and self._paused_until[0] <= now_ns:
            self._paused_until.popleft()
            self._unanswered -= 1
        if now_ns >= self._progress_ns:
            self._progress_ns = now_ns + _PROGRESS_NS
            self._report(control.Progress(self._stage, self._asked, self._answered))

    def _bury(self) -> None:
        for link in self._leaving:
            fd = link.sock.fileno()
            self._epoll.unregister(fd)
            del self._links[fd]
            link.sock.close()
        self._leaving.clear()
        self._free = deque(link for link in self._free if not link.over)
        if not self._links:
            raise GiveUp(f"the last connection ended: {', '.join(self._cut_off)}")

    def _turn_until(self, done: Callable[[], bool], deadline_ns: int) -> bool:
        while not done():
            if time.monotonic_ns() >= deadline_ns:
                return False
            self._turn(_PATIENCE_S)
        return True

    def _report(self, report: control.Report) -> None:
        data = control.line(report)
        while data:
            data = data[os.write(self._reports, data) :]

    # Asking.

    def _hand_out(self, ask: Callable[[Link, int], None]) -> None:
        """Give what is due to free links."""
        due, free = self._due, self._free
        while due and free:
            ask(free.popleft(), due.popleft())

    def _post_to(self, link: Link, room: int, intended_ns: int) -> None:
        number, text = self._ledger.sent(link.number, room, intended_ns)
        target = f"{_BASE}{self._job.rooms[room]}/messages"
        self._asked += 1
        body = _encode({"text": text})
        link.ask(
            Asked(self._posted, number, intended_ns), link.requests.post(target, body, f"{self._job.run}-{number}")
        )

    def _post(self, link: Link, intended_ns: int) -> None:
        self._post_to(link, link.number % len(self._job.rooms), intended_ns)

    def _read(self, link: Link, intended_ns: int) -> None:
        """Ask for pages and records in turn, room after room."""
        turn, self._asked = self._asked, self._asked + 1
        room = (turn // 2) % len(self._job.rooms)
        target = _BASE + self._job.rooms[room]
        if turn % 2:
            link.ask(Asked(self._got_record, room, intended_ns), link.requests.get(target))
        else:
            target = f"{target}/messages?limit={self._job.page_items}"
            link.ask(Asked(self._got_page, room, intended_ns), link.requests.get(target))

    # Answers.

    def _posted(self, link: Link, asked: Asked, answer: Answer) -> None:
        if answer.status != 201:
            self._refuse(answer)
            return
        try:
            message = _read_message(answer.body)
        except msgspec.DecodeError:
            self._ledger.corrupted += 1
        else:
            self._ledger.acked(asked.what, message)
        self._count(asked)

    def _got_page(self, link: Link, asked: Asked, answer: Answer) -> None:
        if answer.status != 200:
            self._refuse(answer)
            return
        self._wrong += not self._expected[asked.what].page_is_right(answer.body)
        self._pages += 1
        self._count(asked)

    def _got_record(self, link: Link, asked: Asked, answer: Answer) -> None:
        if answer.status != 200:
            self._refuse(answer)
            return
        self._wrong += not self._expected[asked.what].record_is_right(answer.body)
        self._count(asked)

    def _count(self, asked: Asked) -> None:
        self._unanswered -= 1
        self._answered += 1
        self._took(asked.intended_ns, time.monotonic_ns())

    def _count_overdue(self, pace: Pace) -> None:
        """What has no answer yet took at least so long; left out, the slowest would not count at all."""
        now_ns = time.monotonic_ns()
        asked = [link.asked.intended_ns for link in self._links.values() if link.asked is not None]
        for intended_ns in (*asked, *self._due, *pace.overdue(now_ns)):
            self._took(intended_ns, now_ns)

    def _took(self, intended_ns: int, now_ns: int) -> None:
        if intended_ns in self._window:
            second = (intended_ns - self._window.start) // 1_000_000_000
            self._seconds[second].record(now_ns - intended_ns)

    def _refuse(self, answer: Answer) -> None:
        code = ""
        with contextlib.suppress(msgspec.DecodeError):
            code = msgspec.json.decode(answer.body, type=_Problem).code
        self._refused[f"{answer.status} {code}".strip()] += 1
        self._paused_until.append(time.monotonic_ns() + REFUSED_PAUSE_NS)

    # The stages.

    def _connect(self, connections: int) -> None:
        job = self._job
        host = f"[{job.host}]:{job.port}" if ":" in job.host else f"{job.host}:{job.port}"
        for number in range(connections):
            try:
                sock = socket.create_connection((job.host, job.port), CONNECT_S)
            except OSError as exc:
                raise GiveUp(f"only {number} of {connections} connections: {exc}") from exc
            Link(self, number, sock, Requests(host, job.tokens[number % len(job.tokens)]))

    def _fill(self) -> None:
        """Post one page and a few more to each room, and learn from the answers what reads must show."""
        self._stage = "filling the rooms"
        rooms = len(self._job.rooms)
        total = rooms * (self._job.page_items + _FILL_MORE)
        now_ns = time.monotonic_ns()
        self._due.extend([now_ns] * total)
        self._unanswered = total

        def ask(link: Link, intended_ns: int) -> None:
            self._post_to(link, self._asked % rooms, intended_ns)

        def filled() -> bool:
            self._hand_out(ask)
            return not self._unanswered

        if not self._turn_until(filled, now_ns + int(FILL_S * 1e9)) or self._refused:
            raise GiveUp(f"the rooms could not be filled: {dict(self._refused) or 'no answer in time'}")
        for number, room in enumerate(self._job.rooms):
            messages = self._ledger.acked_in(number)
            if len(messages) != total // rooms:
                raise GiveUp(
                    f"{len(messages)} of {total // rooms} posts stand in a room of their own: the answers clash"
                )
            self._expected.append(Expected(room, messages, self._job.page_items))
        self._asked = self._answered = 0

    def _work(self, go: control.Go) -> None:
        self._stage = "asking"
        job = self._job
        ask = self._post if job.part == "posts" else self._read
        pace = make_pace(job.load, go.start_ns, go.to_ns)
        self._window = range(go.from_ns, go.to_ns)
        self._seconds = [Histogram() for _ in range(-(-len(self._window) // 1_000_000_000))]
        gc.collect()
        gc.freeze()  # what is here stays: a full collection would stop the loop for milliseconds
        marks = [self._until(pace, ask, instant_ns) for instant_ns in (go.from_ns, go.to_ns)]

        def answered() -> bool:
            self._send_due(pace, ask)  # what an open loop's schedule held and could not be sent in time
            return not self._unanswered

        self._turn_until(answered, time.monotonic_ns() + int(go.drain_s * 1e9))
        self._count_overdue(pace)
        unanswered = self._unanswered + len(pace.overdue(time.monotonic_ns()))
        answered_all, cut_off = self._answered, dict(self._cut_off)
        verdict = attrs.evolve(self._audited(), received=answered_all, cut_off=sum(cut_off.values()))
        first, last = marks
        self._report(
            control.Done(
                window_s=last.at_s - first.at_s,
                asked=self._asked,
                answered=last.answered - first.answered,
                pages=last.pages - first.pages,
                unanswered=unanswered,
                cpu_s=last.cpu_s - first.cpu_s,
                refused=dict(self._refused),
                cut_off=cut_off,
                latency=self._seconds,
                verdict=attrs.evolve(verdict, corrupted=verdict.corrupted + self._wrong),
            )
        )

    def _until(self, pace: Pace, ask: Callable[[Link, int], None], instant_ns: int) -> _Mark:
        """Work until an instant; what was there then."""
        while (now_ns := time.monotonic_ns()) < instant_ns:
            self._send_due(pace, ask)
            pace_ns = pace.next_ns(self._unanswered)
            next_ns = instant_ns if pace_ns is None else min(instant_ns, pace_ns)
            self._turn(min((next_ns - now_ns) / 1e9, _PATIENCE_S))
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return _Mark(now_ns / 1e9, self._answered, self._pages, usage.ru_utime + usage.ru_stime)

    def _send_due(self, pace: Pace, ask: Callable[[Link, int], None]) -> None:
        due = pace.due(time.monotonic_ns(), self._unanswered)
        self._unanswered += len(due)
        self._due.extend(due)
        self._hand_out(ask)

    def _audited(self) -> Verdict:
        """Read every room back, page by page, and compare it with what was posted and acknowledged.

        By connections of their own: an answer that is still owed to the load would come too late to be compared.
        """
        self._stage = "reading the rooms back"
        for link in self._links.values():
            link.over = True
            self._leaving.append(link)
        self._free.clear()
        self._connect(AUDIT_CONNECTIONS)
        audit = Audit(self._job.rooms, self._ledger)
        out: dict[Link, Step] = {}

        def got(link: Link, asked: Asked, answer: Answer) -> None:
            audit.answered(out.pop(link), answer)

        def read() -> bool:
            while self._free and (step := audit.next()) is not None:
                link = self._free.popleft()
                out[link] = step
                link.ask(Asked(got, step.room, 0), link.requests.get(_BASE + audit.path(step)))
            if any(link.over for link in out):
                raise GiveUp("a connection ended while a room was read back")
            return audit.done

        try:
            if not self._turn_until(read, time.monotonic_ns() + int(AUDIT_S * 1e9)):
                raise GiveUp(f"the rooms could not be read back in {AUDIT_S:g} s")
        except Unreadable as exc:
            raise GiveUp(str(exc)) from exc
        return self._ledger.verdict()


@attrs.frozen
class _Mark:
    """What was there at an instant."""

    at_s: float
    answered: int
    pages: int
    cpu_s: float


def _line(descriptor: int) -> bytes:
    """One line, unbuffered; empty at the end of the input."""
    found = b""
    while not found.endswith(b"\n"):
        byte = os.read(descriptor, 1)
        if not byte:
            return b""
        found += byte
    return found


def main() -> None:
    """Read the job from the first line of stdin, then obey."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    line = _line(0)
    if not line:
        return
    job = control.read_job(line)
    if job.cpu is not None:
        os.sched_setaffinity(0, {job.cpu})
    with contextlib.suppress(BrokenPipeError):  # the bench was killed: nobody left to report to
        Generator(job, 0, 1).run()


if __name__ == "__main__":
    main()
