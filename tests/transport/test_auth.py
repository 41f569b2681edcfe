"""Whom a token stands for: looked up, remembered, forgotten at once; bounded in number and in time."""

from __future__ import annotations

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from hubbub.engine import Author, EngineError, Overloaded, Principal, StoreUnavailable, Unauthenticated
from hubbub.engine.core.errors import CredentialChanged, TokenExpired
from hubbub.engine.core.principals import Scope, ServerRole
from hubbub.engine.identity.records import TokenKind, UserChange
from hubbub.transport.auth import Authenticator, Credential
from hubbub.transport.identity import secret
from hubbub.transport.identity.remembered import Remembered

from .identity.desk import DAY_MS, Desk, Open


async def test_a_fresh_token_is_known_at_once_and_after_a_restart(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """What was found once is not asked again."""
    desk = Desk(nursery)
    issued = await desk.tokens.issue_guest("  Ada   Lovelace ")
    desk.accounts.looked_up = 0
    assert desk.ask(issued.token) == [issued.credential]
    assert desk.accounts.looked_up == 0
    desk.restart()
    assert await desk.check(issued.token) == issued.credential
    assert desk.ask(issued.token) == [issued.credential]
    assert desk.accounts.looked_up == 1
    author = issued.credential.principal.author
    assert (author.name, author.kind, author.id[:6]) == ("Ada Lovelace", "guest", "guest-")


@pytest.mark.parametrize("token", ["hbg_", "hbs_wrong", "hbk_caf\u00e9", "hbs_\ud800", "hbg_" + "x" * 500])
async def test_unknown_tokens(token: str, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """Looked up, and not remembered: nobody fills the memory with tokens that do not exist."""
    desk = Desk(nursery)
    for expected in (1, 2):
        assert isinstance(await desk.check(token), Unauthenticated)
        assert desk.accounts.looked_up == expected


@pytest.mark.parametrize("token", ["", "wrong", "hbx_1", "hbs_" + "x" * 100_000, "x" * 100_000])
async def test_what_cannot_be_a_token_is_not_even_looked_up(
    token: str, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """Refused at once: it is too long, or nobody here makes such."""
    desk = Desk(nursery)
    [answer] = desk.ask(token)
    assert isinstance(answer, Unauthenticated)
    assert desk.accounts.looked_up == 0


async def test_a_token_ends(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """After its days, remembered or not, from the very millisecond; and it is said that it was its time."""
    desk = Desk(nursery, settings=attrs.evolve(Desk(nursery).settings, session_idle_s=365 * 86_400.0))
    issued = await desk.tokens.issue_guest("Ada")
    desk.now_ms += 30 * DAY_MS - 1
    assert await desk.check(issued.token) == issued.credential
    desk.now_ms += 1
    assert isinstance(await desk.check(issued.token), TokenExpired)
    desk.restart()
    assert isinstance(await desk.check(issued.token), TokenExpired)


async def test_a_session_that_is_not_used_ends_and_one_that_is_used_does_not(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """Idle for fourteen days is too long; each use within them moves the end, up to the absolute one. A key is never idle."""
    desk = Desk(nursery)
    ada = await desk.user()
    used, idle = await desk.tokens.issue_session(ada), await desk.tokens.issue_session(ada)
    key = await desk.tokens.issue_key(ada, "", frozenset({Scope.READ}), None)
    for _ in range(6):
        desk.now_ms += 13 * DAY_MS
        assert isinstance(await desk.check(used.token), Credential)
    assert isinstance(await desk.check(idle.token), TokenExpired)
    desk.now_ms += 12 * DAY_MS
    assert isinstance(await desk.check(used.token), TokenExpired)
    assert isinstance(await desk.check(key.token), Credential)


async def test_a_use_is_written_down_now_and_then(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """Not at every look-up: each would be a write of its own."""
    desk = Desk(nursery)
    issued = await desk.tokens.issue_session(await desk.user())
    for _ in range(11):
        desk.now_ms += 60_000
        await desk.check(issued.token)
    assert desk.accounts.touched == 2
    desk.now_ms += 600_000
    desk.accounts.error = StoreUnavailable()
    await desk.check(issued.token)
    desk.accounts.error = None
    await desk.check(issued.token)
    assert desk.accounts.touched == 3


async def test_what_is_remembered_is_looked_up_again_in_time(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """A token taken out of the store behind our back is not served from memory for ever."""
    desk = Desk(nursery)
    issued = await desk.tokens.issue_guest("Ada")
    await desk.accounts.end_tokens(issued.credential.principal.id)
    assert isinstance(await desk.check(issued.token), Credential)
    desk.now_ms += 60_000
    assert isinstance(await desk.check(issued.token), Unauthenticated)


async def test_a_role_copied_into_the_session_is_never_refreshed(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """It is: the very next request of a demoted administrator is a member's, however often its token was just seen."""
    desk = Desk(nursery)
    await desk.user("root", ServerRole.ADMIN)
    ada = await desk.user("ada", ServerRole.ADMIN)
    issued = await desk.tokens.issue_session(ada)
    [before] = desk.ask(issued.token)
    await desk.people.change(ada.id, UserChange(role=ServerRole.MEMBER))
    after = await desk.check(issued.token)
    assert isinstance(before, Credential)
    assert isinstance(after, Credential)
    assert (before.principal.role, after.principal.role) == (ServerRole.ADMIN, ServerRole.MEMBER)


@pytest.mark.parametrize("what", ["end", "demote", "disable", "delete"])
async def test_a_look_up_in_flight_does_not_bring_back_what_was_taken(
    what: str, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """The store has answered from before the change; the answer is asked for again."""
    desk = Desk(nursery)
    await desk.user("root", ServerRole.ADMIN)
    ada = await desk.user("ada", ServerRole.ADMIN)
    issued = await desk.tokens.issue_session(ada)
    desk.restart()
    desk.accounts.gate = trio.Event()
    answers = desk.ask(issued.token)
    await wait_all_tasks_blocked()
    match what:
        case "end":
            await desk.tokens.end(ada.id)
        case "demote":
            await desk.people.change(ada.id, UserChange(role=ServerRole.MEMBER))
        case "disable":
            await desk.people.change(ada.id, UserChange(disabled=True))
        case _:
            await desk.people.delete(ada.id)
    desk.accounts.gate.set()
    await wait_all_tasks_blocked()
    for answer in (*answers, await desk.check(issued.token)):
        if what == "demote":
            assert isinstance(answer, Credential)
            assert answer.principal.role is ServerRole.MEMBER
        else:
            assert isinstance(answer, Unauthenticated)


async def test_a_revocation_whose_outcome_is_unknown_is_asked_again(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """The store may have done it: nothing that is remembered counts until it has said so."""
    desk = Desk(nursery)
    issued = await desk.tokens.issue_guest("Ada")
    user_id = issued.credential.principal.id
    desk.accounts.error = StoreUnavailable()
    with pytest.raises(StoreUnavailable):
        await desk.tokens.end(user_id)
    assert isinstance(await desk.check(issued.token), StoreUnavailable)
    desk.accounts.error = None
    assert isinstance(await desk.check(issued.token), Credential)


async def test_what_is_open_under_a_token_ends_with_it(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """Told once, at once, and nobody else is; who has stopped watching is not told."""
    desk = Desk(nursery)
    ada = await desk.user()
    laptop, phone = await desk.tokens.issue_session(ada), await desk.tokens.issue_session(ada)
    bob = await desk.tokens.issue_guest("Bob")
    opened = {name: Open(one.credential) for name, one in (("laptop", laptop), ("phone", phone), ("bob", bob))}
    for each in opened.values():
        desk.auth.watch(each)
        desk.auth.watch(each)
    left = Open(laptop.credential)
    desk.auth.watch(left)
    for _ in range(2):
        desk.auth.unwatch(left)
    desk.auth.unwatch(Open(laptop.credential))

    def told() -> dict[str, list[type[EngineError]]]:
        return {name: [type(error) for error in each.told] for name, each in opened.items()}

    assert await desk.tokens.end(ada.id, only=laptop.credential.token_id)
    assert told() == {"laptop": [Unauthenticated], "phone": [], "bob": []}
    await desk.people.change(ada.id, UserChange(role=ServerRole.ADMIN))
    await desk.people.change(ada.id, UserChange(role=ServerRole.ADMIN))
    assert told() == {"laptop": [Unauthenticated], "phone": [CredentialChanged], "bob": []}
    assert left.told == []
    desk.auth.unwatch(opened["bob"])
    assert len(desk.auth._watchers) == 0


async def test_one_that_cannot_be_told_does_not_keep_it_from_the_others(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """A bug in one connection is logged; the revocation reaches the rest."""
    desk = Desk(nursery)
    issued = await desk.tokens.issue_guest("Ada")

    class Broken(Open):
        def credential_ended(self, error: EngineError) -> None:
            raise RuntimeError("a bug")

    first, last = Open(issued.credential), Open(issued.credential)
    for each in (first, Broken(issued.credential), last):
        desk.auth.watch(each)
    await desk.tokens.end(issued.credential.principal.id)
    assert (len(first.told), len(last.told)) == (1, 1)


async def test_what_is_open_keeps_its_session_in_use(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """A connection that stays is no idle session; one whose token went unnoticed ends within minutes."""
    desk = Desk(nursery)
    nursery.start_soon(desk.auth.keep)
    issued = await desk.tokens.issue_session(await desk.user())
    told = desk.open(issued.credential)
    desk.now_ms += 15 * DAY_MS
    await trio.sleep(301)
    assert isinstance(await desk.check(issued.token), Credential)
    desk.accounts.error = StoreUnavailable()
    await trio.sleep(301)
    assert told == []
    desk.accounts.error = None
    await desk.accounts.end_tokens(issued.credential.principal.id)
    await trio.sleep(301)
    assert [type(error) for error in told] == [Unauthenticated]
    touched = desk.accounts.touched
    await trio.sleep(10_000)
    assert desk.accounts.touched == touched


async def test_look_ups_are_bounded(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """Past the bound the answer is Overloaded, at once; each look-up that ends makes room."""
    desk = Desk(nursery)
    desk.accounts.gate = trio.Event()
    waiting = [desk.ask(f"hbs_{number}") for number in range(32)]
    [refused] = desk.ask("hbs_one_more")
    assert isinstance(refused, Overloaded)
    desk.accounts.gate.set()
    await wait_all_tasks_blocked()
    assert all(isinstance(answer, Unauthenticated) for [answer] in waiting)
    assert isinstance(await desk.check("hbs_one_more"), Unauthenticated)


async def test_a_store_that_is_away(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """Its error is the answer, nothing is issued, and it does not count against the bound afterwards."""
    desk = Desk(nursery)
    desk.accounts.error = StoreUnavailable()
    with pytest.raises(StoreUnavailable):
        await desk.tokens.issue_guest("Ada")
    for _ in range(40):
        assert isinstance(await desk.check("hbg_any"), StoreUnavailable)


@pytest.mark.parametrize("noticed", [True, False])
async def test_who_is_known_goes_on_while_the_store_is_away(
    noticed: bool, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """For an hour after the token was found, whether its absence has been noticed or is met; never past the token's own end."""
    desk = Desk(nursery)
    issued = await desk.tokens.issue_guest("Ada")
    desk.accounts.looked_up = 0
    desk.accounts.error, desk.away = StoreUnavailable(), noticed
    desk.now_ms += 3_599_999
    assert await desk.check(issued.token) == issued.credential
    assert desk.accounts.looked_up == (0 if noticed else 1)
    assert isinstance(await desk.check("hbg_stranger"), StoreUnavailable)
    desk.now_ms += 1
    assert isinstance(await desk.check(issued.token), StoreUnavailable)
    desk.accounts.error, desk.away = None, False
    assert await desk.check(issued.token) == issued.credential
    desk.accounts.error, desk.away = StoreUnavailable(), noticed
    desk.now_ms += 30 * DAY_MS
    assert not isinstance(await desk.check(issued.token), Credential)


async def test_memory_is_bounded() -> None:
    """The token that was remembered longest ago is forgotten first; what is forgotten leaves nothing."""
    remembered = Remembered(3)
    for number in range(4):
        principal = attrs.evolve(_credential().principal, author=Author(f"u{number}", "Ada"))
        remembered.add(bytes([number]), attrs.evolve(_credential(), principal=principal), number)
    assert [remembered.get(bytes([number])) is not None for number in range(4)] == [False, True, True, True]
    remembered.add(b"\x03", _credential(), 9)
    for user_id in ("u1", "u2", "u3", "ada", "nobody"):
        remembered.forget(user_id)
    assert len(remembered) == 0
    assert remembered._digests == {}


def _credential() -> Credential:
    return Credential(Principal(Author("ada", "Ada")), 1, token_id="t", kind=TokenKind.SESSION)


async def test_a_resolver_that_does_not_answer_has_ten_seconds(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """Then the caller is told to try again, and the place among the look-ups is free."""

    async def resolve(token: str) -> Credential | None:
        await trio.sleep_forever()

    desk = Desk(nursery)
    auth = Authenticator(desk, lambda: 1, nursery.start_soon, resolve)  # type: ignore[arg-type]
    for _ in range(2):
        answers: list[Credential | EngineError] = []
        for number in range(33):
            auth.check(f"token {number}", answers.append)
        assert [type(answer) for answer in answers] == [Overloaded]
        await trio.sleep(10.1)
        assert [type(answer) for answer in answers] == [Overloaded] * 33


async def test_a_resolver_is_never_shown_a_token_of_ours(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """Not even one that is unknown here: it may be good on another server of ours."""
    asked: list[str] = []

    async def resolve(token: str) -> Credential | None:
        await trio.lowlevel.checkpoint()
        asked.append(token)
        return None

    desk = Desk(nursery)
    auth = Authenticator(desk, lambda: 1, nursery.start_soon, resolve)  # type: ignore[arg-type]
    for prefix in (*secret.PREFIXES, "eyJ"):
        auth.check(prefix + "x", lambda _: None)
    await wait_all_tasks_blocked()
    assert asked == ["eyJx"]
