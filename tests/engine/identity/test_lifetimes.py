"""How long a token is good, and what a rotated one is worth: against a naive model."""

from __future__ import annotations

import attrs
from hypothesis import given
from hypothesis import strategies as st

from hubbub.engine.core.principals import ServerRole
from hubbub.engine.identity.lifetimes import Lifetimes, Verdict, due_for_touch, judge, over_at_ms
from hubbub.engine.identity.records import Holder, TokenKind, TokenRecord, User

OWN, FORMER, OTHER = (bytes([number]) * 32 for number in range(3))
TIMES = st.integers(min_value=0, max_value=1_000)


@st.composite
def holders(draw: st.DrawFn) -> Holder:
    """A token in any state, with a user in any state."""
    token = TokenRecord(
        digest=OWN,
        id="t",
        user="u",
        kind=draw(st.sampled_from(TokenKind)),
        created_at_ms=0,
        last_used_at_ms=draw(TIMES),
        expires_at_ms=draw(st.none() | TIMES),
        former_digest=draw(st.sampled_from([None, FORMER])),
        former_until_ms=draw(TIMES),
    )
    user = User(
        id="u",
        name="U",
        role=draw(st.sampled_from(ServerRole)),
        created_at_ms=0,
        disabled_at_ms=draw(st.none() | TIMES),
        deleted_at_ms=draw(st.none() | TIMES),
    )
    return Holder(token, user)


LIFETIMES = st.builds(Lifetimes, idle_ms=st.none() | TIMES, touch_ms=TIMES)


@given(holders(), st.sampled_from([OWN, FORMER, OTHER]), LIFETIMES, TIMES)
def test_a_token_is_good_when_nothing_speaks_against_it(
    holder: Holder, digest: bytes, lifetimes: Lifetimes, now_ms: int
) -> None:
    """Its user may act, neither of its times is over, and it is the present one, or the former one for a moment."""
    token, user = holder.token, holder.user
    may_act = user.disabled_at_ms is None and user.deleted_at_ms is None
    in_time = token.expires_at_ms is None or now_ms < token.expires_at_ms
    idle = token.kind is TokenKind.SESSION and lifetimes.idle_ms is not None
    if idle and lifetimes.idle_ms is not None:
        in_time = in_time and now_ms < token.last_used_at_ms + lifetimes.idle_ms
    present = digest == OWN
    former = digest == token.former_digest and now_ms < token.former_until_ms
    verdict = judge(holder, digest, lifetimes, now_ms)
    assert (verdict is Verdict.GOOD) == (may_act and in_time and (present or former))
    assert (verdict is Verdict.EXPIRED) == (may_act and not in_time)


@given(holders(), LIFETIMES, TIMES)
def test_a_sessions_former_token_gives_a_theft_away(holder: Holder, lifetimes: Lifetimes, now_ms: int) -> None:
    """After the overlap, and while the session is good; a key's never does."""
    replayed = judge(holder, FORMER, lifetimes, now_ms) is Verdict.REPLAYED
    token = holder.token
    assert replayed == (
        token.kind is TokenKind.SESSION
        and token.former_digest == FORMER
        and now_ms >= token.former_until_ms
        and judge(holder, OWN, lifetimes, now_ms) is Verdict.GOOD
    )


@given(holders(), LIFETIMES, TIMES, TIMES)
def test_what_is_over_stays_over(holder: Holder, lifetimes: Lifetimes, one_ms: int, other_ms: int) -> None:
    """Time only takes away, unless the token is used."""
    early, late = sorted((one_ms, other_ms))
    if judge(holder, OWN, lifetimes, late) is Verdict.GOOD:
        assert judge(holder, OWN, lifetimes, early) is Verdict.GOOD


@given(holders(), LIFETIMES, TIMES)
def test_using_a_session_moves_its_idle_end(holder: Holder, lifetimes: Lifetimes, now_ms: int) -> None:
    """Never beyond the absolute one."""
    used = attrs.evolve(holder, token=attrs.evolve(holder.token, last_used_at_ms=now_ms))
    end = over_at_ms(used, lifetimes)
    if holder.token.expires_at_ms is not None:
        assert end <= holder.token.expires_at_ms
    assert due_for_touch(used, lifetimes, now_ms) == (lifetimes.touch_ms == 0 or not used.token.used)


@given(holders(), LIFETIMES, TIMES)
def test_the_first_use_of_a_key_is_written_down(holder: Holder, lifetimes: Lifetimes, now_ms: int) -> None:
    """At once, however soon it comes; a session has been used when it is made."""
    fresh = attrs.evolve(holder.token, last_used_at_ms=holder.token.created_at_ms)
    assert fresh.used is (fresh.kind is TokenKind.SESSION)
    assert fresh.used or due_for_touch(attrs.evolve(holder, token=fresh), lifetimes, now_ms)
    assert attrs.evolve(fresh, last_used_at_ms=fresh.created_at_ms + 1).used
