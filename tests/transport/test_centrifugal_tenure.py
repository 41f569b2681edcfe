"""Tenure: which tokens a connection lives by, against a model that keeps a plain list of them."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from hubbub.engine.core.authors import Author
from hubbub.engine.core.ids import ConversationId
from hubbub.engine.core.principals import Principal
from hubbub.transport.auth import Credential
from hubbub.transport.centrifugal_tenure import NOBODY, Tenure, ttl_s
from hubbub.transport.jwt import JwtCredential, JwtPrincipal

CHANNELS = st.sampled_from([ConversationId(name) for name in "abc"])
GRANTS = st.frozensets(CHANNELS)
SECONDS = st.integers(0, 60)
GRACE_S = 20
ADA = Author("jwt:ada", "Ada", "user")


def signed(ends_s: int, grants: frozenset[ConversationId] = frozenset(), leeway_s: int = 10) -> JwtCredential:
    principal = JwtPrincipal(ADA, grants=grants)
    return JwtCredential(principal, (ends_s + leeway_s) * 1000, ends_at_ms=ends_s * 1000, channels={})


class Life(RuleBasedStateMachine):
    """One connection: tokens come, are replaced and end, and time goes by."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0
        self.ends_s = 30
        self.grants: frozenset[ConversationId] = frozenset()
        self.passes: dict[ConversationId, int] = {}
        self.tenure = Tenure(signed(self.ends_s), GRACE_S)

    @rule(seconds=SECONDS)
    def wait(self, seconds: int) -> None:
        self.now_s += seconds

    @rule(seconds=SECONDS, grants=GRANTS)
    def renew(self, seconds: int, grants: frozenset[ConversationId]) -> None:
        lost = self.tenure.renew(signed(self.now_s + seconds, grants))
        assert lost == self.grants - grants - set(self.passes)
        self.ends_s, self.grants = self.now_s + seconds, grants

    @rule(channel=CHANNELS, seconds=SECONDS)
    def admit(self, channel: ConversationId, seconds: int) -> None:
        self.tenure.admit(channel, (self.now_s + seconds) * 1000)
        self.passes[channel] = self.now_s + seconds

    @rule(channel=CHANNELS)
    def withdraw(self, channel: ConversationId) -> None:
        assert self.tenure.withdraw(channel) == (self.passes.pop(channel, None) is not None)

    @rule()
    def take_over(self) -> None:
        over = {channel for channel, ends in self.passes.items() if ends + GRACE_S <= self.now_s}
        assert set(self.tenure.take_over(self.now_s * 1000)) == over
        for channel in over:
            del self.passes[channel]

    @invariant()
    def it_reads_what_its_tokens_open(self) -> None:
        assert self.tenure.principal.grants == self.grants | set(self.passes)
        assert self.tenure.principal.author == ADA

    @invariant()
    def it_ends_with_them(self) -> None:
        now_ms = self.now_s * 1000
        assert self.tenure.is_over(now_ms) == (self.now_s >= self.ends_s + GRACE_S)
        first = min(ends + GRACE_S for ends in (self.ends_s, *self.passes.values()))
        assert self.tenure.left_s(now_ms) == first - self.now_s


TestLife = Life.TestCase


def test_a_session_token_has_no_grace() -> None:
    """What the server issued itself ends when it ends, and is not fetched anew."""
    tenure = Tenure(Credential(Principal(ADA), 5_000), GRACE_S)
    assert (tenure.is_over(4_999), tenure.is_over(5_000), tenure.token_ends_at_ms) == (False, True, None)


def test_a_leeway_longer_than_the_grace_counts() -> None:
    """A connection does not end while its token would still be accepted."""
    tenure = Tenure(signed(10, leeway_s=60), GRACE_S)
    assert (tenure.is_over(69_999), tenure.is_over(70_000)) == (False, True)


def test_nobody_is_over() -> None:
    """Until it has authenticated, a connection lives by nothing."""
    assert NOBODY.is_over(0)
    assert NOBODY.principal.scopes == frozenset()


def test_ttl_is_never_nought() -> None:
    """The stock SDKs would ask again at once, and again."""
    assert [ttl_s(ends, 10_000) for ends in (0, 10_000, 10_999, 12_000, 12_999)] == [1, 1, 1, 2, 2]
