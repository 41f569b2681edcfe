"""The club: one more room, whose members change while they read and post. Held against the log on the disk, at every step.

A steward makes, removes, mutes and bans members, as the program or as one of them, and now and then opens the room to
everybody. The members follow it, page through it and post, whether they are let in or not. What is checked:

* who is shown an event could read the room when that event stood in it or later, or is the one who left by it;
* a message stands in the log only where its author could speak at that place;
* there is an owner after every event;
* the answer to a change shows members as they were after some event; in the end the server's members are the log's.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Awaitable, Callable
from typing import Any, Final

import attrs
import trio

from hubbub.engine import SYSTEM, Author, Conversation, EngineError, Event, Member, Principal, Record, Role, Visibility
from hubbub.engine.core.ids import ConversationId

from .links import Gone, Slow, call, open_stream, session
from .network import LinkBroken
from .plan import ClubPlan
from .process import WALL_MS, Process
from .town import Town

CLUB: Final = "club"
_PATH: Final = f"/api/v1/conversations/{CLUB}"
_REFUSALS: Final = frozenset(
    {"store_unavailable", "overloaded", "closed", "quarantined", "fenced", "outcome_unknown", "internal"}
    | {"conflict", "forbidden", "not_found"}
)
_STATUSES: Final = frozenset({403, 404, 409, 503})
_NOT_READABLE: Final = frozenset({102, 103})  # reply codes of the Centrifugal protocol


@attrs.frozen
class State:
    """The club after some event, as the log tells it."""

    is_public: bool
    members: dict[str, Member]

    def reads(self, user: str) -> bool:
        """Whether somebody may read."""
        row = self.members.get(user)
        if row is not None and row.banned:
            return False
        return self.is_public or (row is not None and row.belongs)

    def speaks(self, user: str, at_ms: int) -> bool:
        """Whether somebody may post."""
        row = self.members.get(user)
        if row is not None and (at_ms < row.muted_until_ms or (row.belongs and row.role is Role.VIEWER)):
            return False
        return self.reads(user)

    def owners(self) -> int:
        """How many there are."""
        return sum(row.belongs and not row.banned and row.role is Role.OWNER for row in self.members.values())

    def after(self, event: Event) -> State:
        """The next one."""
        if event.member is not None:
            return State(self.is_public, _kept({**self.members, event.member.user.id: event.member}))
        if event.change is not None and event.change.visibility is not None:
            return State(event.change.visibility is Visibility.PUBLIC, self.members)
        return self


def _kept(rows: dict[str, Member]) -> dict[str, Member]:
    return {user: row for user, row in rows.items() if row.belongs or row.banned or row.muted_until_ms}


class Club:
    """The room and everybody in it."""

    def __init__(self, town: Town, plan: ClubPlan) -> None:
        self._town = town
        self._plan = plan
        self._random = random.Random(f"club {town.plan.seed}")
        self.people = [f"m{number}" for number in range(plan.people)]
        self._states = [State(False, {"m0": Member(Author("m0", "m0"), Role.OWNER, WALL_MS)})]
        self._cursors = dict.fromkeys(self.people, 0)
        self._is_done = False
        self._posts = 0

    def record(self) -> Record:
        """As it is furnished."""
        first = self._states[0].members
        return Record(
            ConversationId(CLUB), CLUB, Visibility.PRIVATE, "m0", "epoch-club", 0, WALL_MS, members=dict(first)
        )

    def start(self, nursery: trio.Nursery) -> None:
        """Steward and people; they end with the nursery."""
        nursery.start_soon(self._steward)
        for number, name in enumerate(self.people):
            nursery.start_soon(self._live, name, random.Random(f"club {self._town.plan.seed} {number}"))

    # -- the log --------------------------------------------------------------------------------------------------

    def _log(self) -> list[Event]:
        return self._town.disk.events_of(CLUB)

    def _history(self) -> list[State]:
        """The states after each event so far; place 0 is the beginning."""
        for event in self._log()[len(self._states) - 1 :]:
            self._states.append(self._states[-1].after(event))
        return self._states

    def _shown(self, user: str, offset: int) -> None:
        """Somebody was shown what stands at an offset."""
        states, log = self._history(), self._log()
        if offset >= len(states):
            self._town.find("early", f"{user} was shown {offset} of the club, which is not durable")
            return
        mine = log[offset - 1].member
        left_by_it = mine is not None and mine.user.id == user and states[offset - 1].reads(user)
        if not left_by_it and not any(state.reads(user) for state in states[offset:]):
            self._town.find("leak", f"{user} was shown {offset} of the club and could read it at no time since")

    def _sees(self, user: str, offset: int) -> None:
        """The next event of somebody's stream."""
        self._town.note("club", user, offset)
        self._shown(user, offset)
        if offset != self._cursors[user] + 1:
            self._town.find("dropped", f"{user} stood at {self._cursors[user]} of the club and got {offset}")
        self._cursors[user] = offset

    @property
    def at_rest(self) -> bool:
        """The steward is done, and whoever may read has seen everything."""
        last = self._history()[-1]
        return self._is_done and all(
            cursor == len(self._states) - 1 for user, cursor in self._cursors.items() if last.reads(user)
        )

    def __str__(self) -> str:
        last = self._history()[-1]
        behind = {user: cursor for user, cursor in self._cursors.items() if last.reads(user)}
        return f"the club at {len(self._states) - 1}, its readers at {behind}"

    def judge(self) -> None:
        """What the log itself shows; once nothing is added any more."""
        states, log = self._history(), self._log()
        for event, before, state in zip(log, states, states[1:], strict=False):
            if not state.owners():
                self._town.find("no owner", f"of the club, since {event.offset}")
            if event.message is not None and not before.speaks(event.actor.id, event.at_ms):
                self._town.find("spoke", f"{event.actor.id} at {event.offset} of the club, who may not")

    async def compare(self) -> None:
        """The members that the server has are those of the log."""
        process = await self._town.running_process()
        done = trio.Event()

        async def look() -> None:
            try:
                found = (await process.engine.conversation(CLUB).describe()).members
                if dict(found) != self._history()[-1].members:
                    self._town.find("members differ", f"the club has {found}, its log {self._history()[-1].members}")
            except EngineError as error:
                self._town.find("wrong refusal", f"a healthy club got {error.code}")
            finally:
                done.set()

        process.embedders.start_soon(look)
        await done.wait()

    # -- the steward ----------------------------------------------------------------------------------------------

    async def _steward(self) -> None:
        for _ in range(self._plan.changes):
            await trio.sleep(self._random.expovariate(1.0) * self._plan.pause_s)
            process = await self._town.running_process()
            done = trio.Event()
            process.embedders.start_soon(self._change, process, done)
            await done.wait()
        await self._town.healed.wait()
        self._is_done = True

    async def _change(self, process: Process, done: trio.Event) -> None:
        rng = self._random
        room, whom = process.engine.conversation(CLUB), rng.choice(self.people)
        by = SYSTEM if rng.random() < 0.5 else Principal(Author(name := rng.choice(self.people), name))
        what, step = rng.choice(_STEPS)
        self._town.note("change", what, whom, by.id)
        try:
            with trio.move_on_after(3.0):
                found = await step(self, room, Author(whom, whom), by)
                if process.alive and found is not None and found not in [state.members for state in self._history()]:
                    self._town.find("wrong answer", f"{what} of {whom} gave members that never were: {found}")
        except EngineError as error:
            if error.code not in _REFUSALS:
                self._town.find("wrong refusal", f"{what} of {whom} got {error.code}")
        finally:
            done.set()

    async def _put(self, room: Conversation, user: Author, by: Principal) -> Any:
        return await room.members.put(user, self._random.choice(list(Role)), by=by)

    async def _remove(self, room: Conversation, user: Author, by: Principal) -> Any:
        return await room.members.remove(user, by=by)

    async def _ban(self, room: Conversation, user: Author, by: Principal) -> Any:
        return await room.members.ban(user, by=by)

    async def _unban(self, room: Conversation, user: Author, by: Principal) -> Any:
        return await room.members.unban(user, by=by)

    async def _mute(self, room: Conversation, user: Author, by: Principal) -> Any:
        seconds = self._random.choice((0, 2, 20))
        return await room.members.mute(
            user, until_ms=self._town.wall.now_ms() + 1000 * seconds if seconds else 0, by=by
        )

    async def _open(self, room: Conversation, user: Author, by: Principal) -> Any:
        visibility = self._random.choice((Visibility.PUBLIC, Visibility.PRIVATE, Visibility.PRIVATE))
        return (await room.update(visibility=visibility, actor=by)).members

    # -- the people -----------------------------------------------------------------------------------------------

    async def _live(self, name: str, rng: random.Random) -> None:
        """Follow, page and post, in turns, until the town is over."""
        while not self._town.over.is_set():
            follow = rng.choice((self._stream, self._socket))
            stays_s = 1e9 if self._town.healed.is_set() and self._is_done else rng.expovariate(1 / 4.0)
            with trio.move_on_after(stays_s), contextlib.suppress(Gone, LinkBroken):
                await follow(name)
            with trio.move_on_after(5.0), contextlib.suppress(Gone, LinkBroken):
                await self._visit(name, rng)
            await trio.sleep(0.05 + rng.random())

    async def _visit(self, name: str, rng: random.Random) -> None:
        """Look at the newest page, and say something, now and then several things at once."""
        await self._look(name)
        if not self._town.healed.is_set():
            async with trio.open_nursery() as saying:
                for _ in range(rng.choice((1, 1, 6))):
                    self._posts += 1
                    saying.start_soon(self._say, name, f"{name}-{self._posts} in the club")

    async def _look(self, name: str) -> None:
        link = self._town.network.connect()
        try:
            page = await call(self._town, link, f"hbg_{name}", "GET", f"{_PATH}/messages?limit=3")
            if page.status != 200:
                self._refused(name, "a page", page.status)
                return
            for message in page.body["messages"]:
                self._shown(name, message["offset"])
        finally:
            link.close()

    async def _say(self, name: str, text: str) -> None:
        with contextlib.suppress(Gone, LinkBroken):
            link = self._town.network.connect()
            try:
                body = {"text": text}
                said = await call(self._town, link, f"hbg_{name}", "POST", f"{_PATH}/messages", body=body)
                if said.status != 201:
                    self._refused(name, "a post", said.status)
            finally:
                link.close()

    def _refused(self, name: str, what: str, status: int) -> None:
        if status not in _STATUSES and not (status == 500 and self._town.crashes.done):
            self._town.find("wrong refusal", f"{name} got {status} for {what}")

    async def _stream(self, name: str) -> None:
        link = self._town.network.connect()
        try:
            last_id = str(self._cursors[name])
            found = await open_stream(self._town, link, Slow(), f"hbg_{name}", f"{_PATH}/events", last_id)
            if isinstance(found, int):
                self._refused(name, "a stream", found)
                return
            while True:
                block = await found.next()
                if block.event == "stream.reset":
                    self._town.find("reset", f"{name} in the club at {self._cursors[name]}: {block.data}")
                elif "offset" in block.data and "type" in block.data:
                    self._sees(name, block.data["offset"])
        finally:
            link.close()

    async def _socket(self, name: str) -> None:
        async with session(self._town, Slow(), f"hbg_{name}") as socket:
            where = {"recover": True, "offset": self._cursors[name], "epoch": "epoch-club"}
            reply = await socket.ask(subscribe={"channel": CLUB, **where})
            if "error" in reply:
                if not reply["error"].get("temporary") and reply["error"]["code"] not in _NOT_READABLE:
                    self._town.find("wrong refusal", f"{name} got {reply['error']} for the club")
                return
            while True:
                push = await socket.next_push()
                if "unsubscribe" in push:
                    return
                if "subscribe" in push and not push["subscribe"]["recovered"]:
                    self._town.find("reset", f"{name} in the club at {self._cursors[name]}: {push}")
                publications = push["subscribe"].get("publications", ()) if "subscribe" in push else [push["pub"]]
                for publication in publications:
                    if "offset" in publication["data"]:
                        self._sees(name, publication["data"]["offset"])


_STEPS: Final[tuple[tuple[str, Callable[[Club, Conversation, Author, Principal], Awaitable[Any]]], ...]] = (
    ("put", Club._put),
    ("put", Club._put),
    ("put", Club._put),
    ("remove", Club._remove),
    ("remove", Club._remove),
    ("ban", Club._ban),
    ("unban", Club._unban),
    ("unban", Club._unban),
    ("mute", Club._mute),
    ("open", Club._open),
)
