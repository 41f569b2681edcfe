"""Tokens of our own: made, rotated, replayed, evicted, revoked, pruned."""

from __future__ import annotations

import attrs
import pytest
import trio
from trio.testing import MockClock

from hubbub.engine import NotFound, StoreUnavailable, Unauthenticated, Unprocessable
from hubbub.engine.core.principals import Scope
from hubbub.engine.identity.records import TokenKind, UserChange
from hubbub.transport.auth import Credential
from hubbub.transport.identity import secret

from .desk import DAY_MS, Desk


async def test_session_tokens_are_stored_in_plain_text(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """They are not: what is kept is a digest, and nothing that is shown or logged of a record is the token."""
    desk = Desk(nursery)
    ada = await desk.user()
    issued = [
        await desk.tokens.issue_guest("Eve"),
        await desk.tokens.issue_session(ada, "Firefox"),
        await desk.tokens.issue_key(ada, "ci", frozenset({Scope.READ}), None),
    ]
    records = list(desk.accounts._tokens.values())
    kept = repr([attrs.asdict(record) for record in records])
    for one in issued:
        assert one.token not in kept
        assert secret.digest(one.token) in [record.digest for record in records]
        assert one.token not in repr(one)
        assert repr(secret.digest(one.token)) not in repr(records)


async def test_tokens_are_long_random_and_say_what_they_are(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """256 bits each, with a prefix that scanners of leaked code can find."""
    desk = Desk(nursery)
    ada = await desk.user()
    tokens = [(await desk.tokens.issue_session(ada)).token for _ in range(20)]
    tokens.append((await desk.tokens.issue_key(ada, "", frozenset(Scope), None)).token)
    assert len({token[4:] for token in tokens}) == len(tokens)
    assert {token[:4] for token in tokens} == {"hbs_", "hbk_"}
    assert all(len(token) == 4 + 43 for token in tokens)


async def test_a_sixth_login_ends_the_oldest(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """With what is open under it; keys and other users' sessions do not count."""
    desk = Desk(nursery)
    ada = await desk.user()
    key = await desk.tokens.issue_key(ada, "", frozenset(Scope), None)
    sessions = []
    for _ in range(5):
        desk.now_ms += 1
        sessions.append(await desk.tokens.issue_session(ada))
    told = desk.open(sessions[0].credential)
    for one in sessions:
        assert isinstance(await desk.check(one.token), Credential)
    desk.now_ms += 1
    sessions.append(await desk.tokens.issue_session(ada))
    assert [type(error) for error in told] == [Unauthenticated]
    found = [isinstance(await desk.check(one.token), Credential) for one in (*sessions, key)]
    assert found == [False, True, True, True, True, True, True]


async def test_a_rotated_session_goes_on_under_another_token(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """Same session, same end; the former token is good for 30 seconds, and nothing that is open notices."""
    desk = Desk(nursery)
    before = await desk.tokens.issue_session(await desk.user())
    told = desk.open(before.credential)
    ends = before.credential.expires_at_ms
    after = await desk.tokens.rotate_session(before.credential, before.token, expires_at_ms=ends)
    assert after.credential == before.credential
    assert after.token != before.token
    desk.now_ms += 29_999
    for token in (before.token, after.token):
        assert isinstance(await desk.check(token), Credential)
    with pytest.raises(Unauthenticated):
        await desk.tokens.rotate_session(before.credential, before.token, expires_at_ms=ends)
    assert told == []


async def test_a_stolen_token_that_was_rotated_out_ends_the_session(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """Which of the two that hold the session is the thief nobody knows: both are out, and so is what either has open."""
    desk = Desk(nursery)
    ada = await desk.user()
    stolen, other = await desk.tokens.issue_session(ada), await desk.tokens.issue_session(ada)
    ends = stolen.credential.expires_at_ms
    fresh = await desk.tokens.rotate_session(stolen.credential, stolen.token, expires_at_ms=ends)
    told = desk.open(fresh.credential)
    desk.now_ms += 30_000
    assert isinstance(await desk.check(fresh.token), Credential)
    assert isinstance(await desk.check(stolen.token), Unauthenticated)
    assert [type(error) for error in told] == [Unauthenticated]
    assert isinstance(await desk.check(fresh.token), Unauthenticated)
    assert isinstance(await desk.check(other.token), Credential)


@pytest.mark.parametrize("overlap_ms", [0, 60_000])
async def test_a_rotated_key(overlap_ms: int, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """Its former secret is good for as long as was asked for; a late use of it is refused and ends nothing else."""
    desk = Desk(nursery)
    ada = await desk.user()
    before = await desk.tokens.issue_key(ada, "ci", frozenset({Scope.READ}), None)
    told = desk.open(before.credential)
    [record] = await desk.accounts.list_tokens(ada.id, TokenKind.KEY)
    after = await desk.tokens.rotate_key(record, overlap_ms=overlap_ms)
    assert after is not None
    assert after.credential == before.credential
    assert isinstance(await desk.check(before.token), Credential if overlap_ms else Unauthenticated)
    assert len(told) == (0 if overlap_ms else 1)
    desk.now_ms += overlap_ms
    assert isinstance(await desk.check(before.token), Unauthenticated)
    assert isinstance(await desk.check(after.token), Credential)
    await desk.tokens.end(ada.id)
    assert await desk.tokens.rotate_key(record, overlap_ms=0) is None


async def test_who_may_not_act_gets_no_session(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """Not even one who was read from the store a moment before."""
    desk = Desk(nursery)
    ada = await desk.user()
    await desk.people.change(ada.id, UserChange(disabled=True))
    with pytest.raises(NotFound):
        await desk.tokens.issue_session(ada)
    assert desk.accounts.tokens == 0


async def test_a_disabled_users_tokens_sleep(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """They stand for nobody while it is disabled, and for the same user afterwards."""
    desk = Desk(nursery)
    ada = await desk.user()
    issued = await desk.tokens.issue_session(ada)
    told = desk.open(issued.credential)
    await desk.people.change(ada.id, UserChange(disabled=True))
    assert [type(error) for error in told] == [Unauthenticated]
    assert isinstance(await desk.check(issued.token), Unauthenticated)
    await desk.people.change(ada.id, UserChange(disabled=False))
    assert await desk.check(issued.token) == issued.credential


async def test_tokens_that_are_over_are_pruned_beside(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """At most once an hour, by who issues one, all of those that ended a day ago; a store that is away costs nobody anything."""
    desk = Desk(nursery)
    for number in range(3):
        await desk.tokens.issue_guest(f"Guest {number}")
    await trio.sleep(10)
    assert desk.accounts.pruned == 1
    desk.now_ms += 31 * DAY_MS + 1
    await desk.tokens.issue_guest("Ada")
    await trio.sleep(10)
    assert desk.accounts.tokens == 1
    desk.now_ms += 3_600_000
    await desk.tokens.issue_guest("Bob")
    desk.accounts.error = StoreUnavailable()
    await trio.sleep(10)
    assert desk.accounts.tokens == 2


@pytest.mark.parametrize("name", ["", "  ", "x" * 65, "a\0", "a\u202eb", "\u200b", "\u3164", "a\x7f", "\ud800"])
async def test_unfit_names(name: str, nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    """Nothing is issued."""
    desk = Desk(nursery)
    with pytest.raises(Unprocessable):
        await desk.tokens.issue_guest(name)
    assert desk.accounts.tokens == 0
