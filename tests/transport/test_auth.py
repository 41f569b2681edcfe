"""Tokens: issued, looked up, remembered; bounded in number and in time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from hubbub.engine import EngineError, Overloaded, StoreUnavailable, TokenRecord, Unauthenticated, Unprocessable
from hubbub.engine.ports import StoreHealth
from hubbub.transport import auth as module
from hubbub.transport.auth import Authenticator, Credential

DAY_MS = 86_400_000


@attrs.define(eq=False)
class Tokens:
    """A store of tokens that counts, waits and fails as told."""

    records: dict[bytes, TokenRecord] = attrs.field(factory=dict)
    looked_up: int = 0
    gate: trio.Event = attrs.field(factory=trio.Event)
    error: Exception | None = None
    away: bool = False
    pruned: list[int] = attrs.field(factory=list)

    def health(self) -> StoreHealth:
        return StoreHealth(ready=not self.away)

    async def prune_tokens(self, before_ms: int) -> int:
        await trio.lowlevel.checkpoint()
        self.pruned.append(before_ms)
        if self.error is not None:
            raise self.error
        over = [digest for digest, token in self.records.items() if token.expires_at_ms < before_ms][:1]
        for digest in over:
            del self.records[digest]
        return len(over)

    async def add_token(self, token: TokenRecord) -> None:
        await trio.lowlevel.checkpoint()
        if self.error is not None:
            raise self.error
        self.records[token.digest] = token

    async def find_token(self, digest: bytes) -> TokenRecord | None:
        self.looked_up += 1
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return self.records.get(digest)


@attrs.define(eq=False)
class Desk:
    """An authenticator with its store and its clock."""

    nursery: trio.Nursery
    tokens: Tokens = attrs.field(factory=Tokens)
    now_ms: int = 1_000_000
    auth: Authenticator = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.tokens.gate.set()
        self.restart()

    def restart(self) -> None:
        def start_soon(work: Callable[[], Awaitable[None]]) -> None:
            self.nursery.start_soon(work)

        self.auth = Authenticator(self.tokens, lambda: self.now_ms, start_soon)  # type: ignore[arg-type]

    def ask(self, token: str) -> list[Credential | EngineError]:
        answers: list[Credential | EngineError] = []
        self.auth.check(token, answers.append)
        return answers

    async def check(self, token: str) -> Credential | EngineError:
        answers = self.ask(token)
        await wait_all_tasks_blocked()
        [answer] = answers
        return answer


async def test_a_fresh_token_is_known_at_once_and_after_a_restart(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """The store holds a digest only; what was found once is not asked again."""
    desk = Desk(nursery)
    issued = await desk.auth.issue_guest("  Ada   Lovelace ")
    [stored] = desk.tokens.records.values()
    assert issued.token.encode() not in stored.digest
    assert desk.ask(issued.token) == [issued.credential]
    assert desk.tokens.looked_up == 0
    desk.restart()
    assert await desk.check(issued.token) == issued.credential
    assert desk.ask(issued.token) == [issued.credential]
    assert desk.tokens.looked_up == 1
    author = issued.credential.principal.author
    assert (author.name, author.kind, author.id[:6]) == ("Ada Lovelace", "guest", "guest-")


@pytest.mark.parametrize("token", ["", "wrong", "caf\u00e9", "\ud800", "x" * 512])
async def test_unknown_tokens(token: str, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """Looked up, and not remembered: nobody fills the memory with tokens that do not exist."""
    desk = Desk(nursery)
    for expected in (1, 2):
        assert isinstance(await desk.check(token), Unauthenticated)
        assert desk.tokens.looked_up == expected


async def test_an_endless_token_is_not_even_looked_up(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """Refused at once."""
    desk = Desk(nursery)
    [answer] = desk.ask("x" * 100_000)
    assert isinstance(answer, Unauthenticated)
    assert desk.tokens.looked_up == 0


async def test_a_token_ends(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """After its days, remembered or not, from the very millisecond."""
    desk = Desk(nursery)
    issued = await desk.auth.issue_guest("Ada")
    desk.now_ms += module.GUEST_DAYS * DAY_MS - 1
    assert await desk.check(issued.token) == issued.credential
    desk.now_ms += 1
    assert isinstance(await desk.check(issued.token), Unauthenticated)
    desk.restart()
    assert isinstance(await desk.check(issued.token), Unauthenticated)


async def test_what_is_remembered_is_looked_up_again_in_time(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """A token taken out of the store is not served from memory for ever."""
    desk = Desk(nursery)
    issued = await desk.auth.issue_guest("Ada")
    desk.tokens.records.clear()
    assert isinstance(await desk.check(issued.token), Credential)
    desk.now_ms += 60_000
    assert isinstance(await desk.check(issued.token), Unauthenticated)


async def test_look_ups_are_bounded(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """Past the bound the answer is Overloaded, at once; each look-up that ends makes room."""
    desk = Desk(nursery)
    desk.tokens.gate = trio.Event()
    waiting = [desk.ask(f"t{number}") for number in range(32)]
    [refused] = desk.ask("one more")
    assert isinstance(refused, Overloaded)
    desk.tokens.gate.set()
    await wait_all_tasks_blocked()
    assert all(isinstance(answer, Unauthenticated) for [answer] in waiting)
    assert isinstance(await desk.check("one more"), Unauthenticated)


async def test_a_store_that_is_away(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """Its error is the answer, nothing is issued, and it does not count against the bound afterwards."""
    desk = Desk(nursery)
    desk.tokens.error = StoreUnavailable()
    with pytest.raises(StoreUnavailable):
        await desk.auth.issue_guest("Ada")
    for _ in range(40):
        assert isinstance(await desk.check("any"), StoreUnavailable)


@pytest.mark.parametrize("noticed", [True, False])
async def test_who_is_known_goes_on_while_the_store_is_away(
    noticed: bool, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """For an hour after the token was found, whether its absence has been noticed or is met; never past the token's own end."""
    desk = Desk(nursery)
    issued = await desk.auth.issue_guest("Ada")
    desk.tokens.error, desk.tokens.away = StoreUnavailable(), noticed
    desk.now_ms += 3_599_999
    assert await desk.check(issued.token) == issued.credential
    assert desk.tokens.looked_up == (0 if noticed else 1)
    assert isinstance(await desk.check("stranger"), StoreUnavailable)
    desk.now_ms += 1
    assert isinstance(await desk.check(issued.token), StoreUnavailable)
    desk.tokens.error, desk.tokens.away = None, False
    assert await desk.check(issued.token) == issued.credential
    desk.tokens.error, desk.tokens.away = StoreUnavailable(), noticed
    desk.now_ms += module.GUEST_DAYS * DAY_MS
    assert not isinstance(await desk.check(issued.token), Credential)


async def test_a_token_taken_out_of_a_store_that_answers_is_refused(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """What is remembered for longer counts only while nobody can be asked."""
    desk = Desk(nursery)
    issued = await desk.auth.issue_guest("Ada")
    desk.tokens.records.clear()
    desk.now_ms += 60_000
    assert isinstance(await desk.check(issued.token), Unauthenticated)


async def test_tokens_that_are_over_are_pruned_beside(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """At most once an hour, by who issues one, all of those that ended a day ago; a store that is away costs nobody anything."""
    desk = Desk(nursery)
    for number in range(3):
        await desk.auth.issue_guest(f"Guest {number}")
    await trio.sleep(10)
    assert len(desk.tokens.pruned) == 1
    desk.now_ms += (module.GUEST_DAYS + 1) * DAY_MS + 1
    await desk.auth.issue_guest("Ada")
    await trio.sleep(10)
    assert len(desk.tokens.records) == 1
    desk.now_ms += 3_600_000
    await desk.auth.issue_guest("Bob")
    desk.tokens.error = StoreUnavailable()
    await trio.sleep(10)
    assert len(desk.tokens.records) == 2


async def test_memory_is_bounded(
    nursery: trio.Nursery, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token that was remembered longest ago is forgotten first."""
    monkeypatch.setattr(module, "_REMEMBERED_ITEMS", 3)
    desk = Desk(nursery)
    issued = [await desk.auth.issue_guest(f"Guest {number}") for number in range(4)]
    assert len(desk.ask(issued[3].token)) == 1
    assert desk.ask(issued[0].token) == []
    assert desk.tokens.looked_up == 0  # its task has not run yet
    await wait_all_tasks_blocked()
    assert desk.tokens.looked_up == 1


@pytest.mark.parametrize("name", ["", "  ", "x" * 65, "a\0", "a\u202eb", "\u200b", "\u3164", "a\x7f", "\ud800"])
async def test_unfit_names(name: str, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """Nothing is issued."""
    desk = Desk(nursery)
    with pytest.raises(Unprocessable):
        await desk.auth.issue_guest(name)
    assert desk.tokens.records == {}


async def test_a_resolver_that_does_not_answer_has_ten_seconds(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """Then the caller is told to try again, and the place among the look-ups is free."""

    async def resolve(token: str) -> Credential | None:
        await trio.sleep_forever()

    desk = Desk(nursery)
    auth = Authenticator(desk.tokens, lambda: 1, nursery.start_soon, resolve)  # type: ignore[arg-type]
    for _ in range(2):
        answers: list[Credential | EngineError] = []
        for number in range(33):
            auth.check(f"token {number}", answers.append)
        assert [type(answer) for answer in answers] == [Overloaded]
        await trio.sleep(10.1)
        assert [type(answer) for answer in answers] == [Overloaded] * 33
