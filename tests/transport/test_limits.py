"""Limits: which action is counted on which profiles, by whom, and how they are changed."""

from ipaddress import IPv6Address

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.engine.core.buckets import MAX_RATE, SECOND_NS, Allowed, Denied
from hubbub.transport.address import key_of
from hubbub.transport.http_message import Quota
from hubbub.transport.limit_settings import PROFILES, Action, Counted, LimitSettings, Profile
from hubbub.transport.limits import Charge, LimitReached, Limits, Ruling

ONE = Profile(rate=1, period_s=10, burst=1)
WIDE = Profile(rate=1000, burst=1000)


class Clock:
    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


def limits(**fields: object) -> tuple[Limits, Clock]:
    """Limits where every profile is wide, but for those given."""
    clock = Clock()
    wide: dict[str, object] = dict.fromkeys(PROFILES, WIDE)
    return Limits(LimitSettings(**(wide | fields)), clock), clock  # type: ignore[arg-type]


def passes(ruling: Ruling | None) -> bool:
    return ruling is None or isinstance(ruling.verdict, Allowed)


def test_a_per_address_limit_is_one_bucket_for_the_whole_world_and_here_it_is_not() -> None:
    """The 11th attempt to log in from one address is refused, the first from another is not."""
    there = Limits(LimitSettings(), Clock())
    attempts = [passes(there.decide(Action.LOGIN, "203.0.113.7")) for _ in range(11)]
    assert attempts == [True] * 10 + [False]
    assert passes(there.decide(Action.LOGIN, "198.51.100.1"))


@pytest.mark.parametrize(
    ("action", "profile", "others"),
    [
        (Action.GUEST, "guest", [("b", None, "")]),
        (Action.SIGN_UP, "sign_up", [("b", None, "")]),
        (Action.CONNECT, "connect", [("b", None, "")]),
        (Action.REQUEST, "request", [("b", None, "")]),
        (Action.READ, "read", [("a", "bob", "x"), ("b", None, "x")]),
        (Action.WRITE, "write", [("a", "bob", "x")]),
        (Action.CREATE, "create", [("a", "bob", "")]),
        (Action.SUBSCRIBE, "subscribe", [("a", "bob", "x")]),
        (Action.ADMIN, "admin", [("a", "bob", "")]),
        (Action.POST, "post", [("a", "ada", "y"), ("a", "bob", "x")]),
        (Action.POST, "write", [("a", "bob", "x")]),
        (Action.POST, "conversation", [("a", "ada", "y")]),
        (Action.JOIN, "join", [("a", "ada", "y"), ("a", "bob", "x")]),
        (Action.JOIN, "write", [("a", "bob", "x")]),
    ],
)
def test_whom_a_profile_counts(action: Action, profile: str, others: list[tuple[str, str | None, str]]) -> None:
    """The second request of the same is refused in the name of the profile; who differs in what it counts is not affected."""
    there, _ = limits(**{profile: ONE})
    assert passes(there.decide(action, "a", "ada", "x"))
    refused = there.decide(action, "a", "ada", "x")
    assert refused is not None
    assert (refused.profile, refused.limit, refused.verdict) == (profile, 1, Denied(10 * SECOND_NS, 0, 10 * SECOND_NS))
    for address, caller, conversation in others:
        assert passes(there.decide(action, address, caller, conversation))


def test_nobody_is_told_how_much_others_post() -> None:
    """What is left to a conversation would tell a stranger that it is there, and how loud; it is told when it refuses."""
    there, _ = limits(conversation=Profile(rate=1, period_s=10, burst=2))
    first = there.decide(Action.POST, "a", "ada", "x")
    assert first is not None
    assert (first.profile, first.verdict.remaining) == ("write", WIDE.burst - 1)
    second, third = (there.decide(Action.POST, "a", "bob", "x") for _ in range(2))
    assert second is not None
    assert third is not None
    assert (second.profile, third.profile) == ("write", "conversation")


def test_the_same_caller_from_another_address_is_the_same_caller() -> None:
    """What is counted by caller does not depend on where it comes from."""
    there, _ = limits(read=ONE)
    assert passes(there.decide(Action.READ, "a", "ada"))
    assert not passes(there.decide(Action.READ, "b", "ada"))


def test_a_caller_cannot_pass_itself_off_as_an_address() -> None:
    """An id that reads like an address has a bucket of its own."""
    there, _ = limits(read=ONE)
    assert passes(there.decide(Action.READ, "203.0.113.7", "198.51.100.1"))
    assert passes(there.decide(Action.READ, "198.51.100.1"))


def test_whoever_has_neither_address_nor_credential_is_not_limited() -> None:
    """Loopback, until proxies are named."""
    there, _ = limits(guest=ONE, read=ONE)
    assert [there.decide(action, None) for action in (Action.GUEST, Action.READ) for _ in range(3)] == [None] * 6


def test_health_is_free() -> None:
    """Nothing refuses it."""
    there, _ = limits(**dict.fromkeys(PROFILES, ONE))
    assert [there.decide(Action.FREE, "a", "ada") for _ in range(3)] == [None] * 3


def test_refused_requests_use_up_no_limit_at_all() -> None:
    """What the second profile refuses was not counted by the first."""
    there, clock = limits(write=Profile(rate=1, period_s=100, burst=2), post=ONE)
    assert passes(there.decide(Action.POST, None, "ada", "x"))
    for _ in range(50):
        refused = there.decide(Action.POST, None, "ada", "x")
        assert refused is not None
        assert refused.profile == "post"
    assert passes(there.decide(Action.POST, None, "ada", "y"))
    clock.now_ns = 10 * SECOND_NS
    last = there.decide(Action.POST, None, "ada", "x")
    assert last is not None
    assert last.profile == "write"


def test_the_answer_tells_of_the_profile_that_is_nearest() -> None:
    """Of several that let it through, the one with the least left."""
    there, _ = limits(write=Profile(rate=1, period_s=10, burst=3), post=Profile(rate=1, period_s=10, burst=40))
    ruling = there.decide(Action.POST, None, "ada", "x")
    assert ruling is not None
    assert ruling.refusal is None
    assert ruling.quota() == Quota(3, 2, 10)


def test_a_refusal_says_when_to_come_back() -> None:
    """In seconds, never too early."""
    there, clock = limits(read=Profile(rate=3, period_s=10, burst=1))
    there.decide(Action.READ, None, "ada")
    clock.now_ns = SECOND_NS
    ruling = there.decide(Action.READ, None, "ada")
    assert ruling is not None
    assert ruling.refusal is not None
    assert ruling.refusal.retry_after_s == pytest.approx(7 / 3)
    assert ruling.quota() == Quota(1, 0, 3)


def test_raw_paths_as_keys_grow_without_bound_and_these_do_not() -> None:
    """Ids that are too long to be one are all the same key; any number of others fills the table and no more."""
    there, _ = limits(max_buckets=100)
    for number in range(1000):
        there.decide(Action.POST, None, "ada", f"{'x' * 200}{number}")
    assert {each.name: each.buckets for each in there.status()}["post"] == 1
    for number in range(1000):
        there.decide(Action.POST, None, f"user {number}", f"room {number}")
    assert max(each.buckets for each in there.status()) == 100


def test_a_profile_that_is_off_lets_any_number_through() -> None:
    """And nothing is kept of it."""
    there, _ = limits(read=attrs.evolve(ONE, on=False))
    assert [there.decide(Action.READ, "a", "ada") for _ in range(3)] == [None] * 3
    assert {each.name: each.buckets for each in there.status()}["read"] == 0


def test_all_of_them_can_be_off() -> None:
    """One switch."""
    there, _ = limits(on=False, read=ONE, command=ONE)
    assert there.decide(Action.READ, "a", "ada") is None
    assert [there.take_command(0, 0) for _ in range(3)] == [0] * 3


def test_a_factor_makes_all_of_them_wider_and_stays_within_bounds() -> None:
    """For load tests: everything is counted, nothing is refused."""
    there, _ = limits(factor=MAX_RATE, read=ONE)
    ruling = there.decide(Action.READ, None, "ada")
    assert ruling is not None
    assert ruling.limit == MAX_RATE


def test_other_settings_hold_for_the_next_request() -> None:
    """And nobody gets a fresh bucket by them."""
    there, _ = limits(read=Profile(rate=1, period_s=10, burst=3))
    assert passes(there.decide(Action.READ, None, "ada"))
    there.apply(LimitSettings(read=ONE))
    assert not passes(there.decide(Action.READ, None, "ada"))
    there.apply(LimitSettings(read=WIDE))
    assert passes(there.decide(Action.READ, None, "ada"))


def test_what_an_admin_has_set_stands_above_the_configuration() -> None:
    """Until the admin takes it back; a profile that does not exist cannot be set."""
    there, _ = limits(read=WIDE)
    there.set_profile("read", ONE)
    there.apply(LimitSettings(read=attrs.evolve(WIDE, burst=999)))
    [status] = [each for each in there.status() if each.name == "read"]
    assert (status.profile, status.configured.burst, status.is_set) == (ONE, 999, True)
    assert [passes(there.decide(Action.READ, None, "ada")) for _ in range(2)] == [True, False]
    there.set_profile("read", None)
    assert passes(there.decide(Action.READ, None, "ada"))
    with pytest.raises(KeyError):
        there.set_profile("nonsense", ONE)


def test_what_was_set_earlier_is_taken_over() -> None:
    """A name that this version does not know is left alone."""
    there, _ = limits()
    there.load([("read", ONE), ("of another version", ONE)])
    assert {each.name for each in there.status() if each.is_set} == {"read"}


def test_commands_are_counted_by_connection() -> None:
    """Another connection of the same client has its own."""
    there, clock = limits(command=ONE)
    state = there.take_command(0, clock.now_ns)
    with pytest.raises(LimitReached) as refused:
        there.take_command(state, clock.now_ns)
    assert refused.value.retry_after_s == 10
    assert there.take_command(0, clock.now_ns) == state
    clock.now_ns = 10 * SECOND_NS
    assert there.take_command(state, clock.now_ns) == 2 * state
    assert {each.name: each.refused for each in there.status()}["command"] == 1


@given(st.lists(st.sampled_from(list(Action)), max_size=60))
def test_refusals_are_counted_where_they_happen(actions: list[Action]) -> None:
    """The figures of the profiles add up to what was refused."""
    there = Limits(LimitSettings(**dict.fromkeys(PROFILES, ONE)), Clock())  # type: ignore[arg-type]
    rulings = [there.decide(action, "a", "ada", "x") for action in actions]
    assert sum(each.refused for each in there.status()) == sum(not passes(ruling) for ruling in rulings)


def test_by_default_guests_and_logins_are_limited_by_address() -> None:
    """Without any configuration; and a human's posts are not."""
    there = Limits(LimitSettings(), Clock())
    assert PROFILES["guest"] == PROFILES["login"] == PROFILES["sign_up"] == Counted.ADDRESS
    for action in (Action.GUEST, Action.LOGIN, Action.SIGN_UP):
        assert not all(passes(there.decide(action, "a")) for _ in range(100))
    assert all(passes(there.decide(Action.POST, "a", "ada", "x")) for _ in range(40))


def test_the_default_room_limit() -> None:
    """Posts at once with a limit of 5/s and a burst of 10: the 11th is refused, another user's is not (A12)."""
    there, _ = limits(post=Profile(rate=5, burst=10))
    assert [passes(there.decide(Action.POST, None, "ada", "x")) for _ in range(11)] == [True] * 10 + [False]
    assert passes(there.decide(Action.POST, None, "bob", "x"))


@pytest.mark.parametrize(
    "fields", [{"rate": 0}, {"burst": 0}, {"period_s": 0}, {"rate": 1.5}, {"burst": MAX_RATE + 1}, {"on": 1}]
)
def test_profiles_have_bounds(fields: dict[str, object]) -> None:
    """What cannot be meant is refused in the name of its field."""
    with pytest.raises((ValueError, TypeError), match=next(iter(fields))):
        Profile(**({"rate": 1, "burst": 1} | fields))  # type: ignore[arg-type]


# -- IPv6 sites -------------------------------------------------------------------------------------------------------


def network(number: int, site: int = 1) -> str:
    """The key of a client in one of the networks of a site."""
    return key_of(IPv6Address((0x20010DB8 << 96) + (site << 80) + (number << 64)))


@pytest.mark.parametrize(
    ("action", "caller", "burst"), [(Action.LOGIN, None, 10), (Action.GUEST, None, 30), (Action.GUESS, "ada", 10)]
)
def test_whoever_has_a_48_gets_so_many_times_one_address_and_no_more(
    action: Action, caller: str | None, burst: int
) -> None:
    """Each of 65,536 networks is within its own limit; the site is refused, with what it may; its neighbour is not."""
    there = Limits(LimitSettings(site_factor=4), Clock())
    rulings = [there.decide(action, network(number), caller) for number in range(5 * burst)]
    assert [passes(ruling) for ruling in rulings] == [True] * 4 * burst + [False] * burst
    last = rulings[-1]
    assert last is not None
    assert last.limit == 4 * burst
    assert passes(there.decide(action, network(0, site=2), caller))
    assert passes(there.decide(action, "203.0.113.7", caller))


def test_what_a_site_is_refused_its_networks_have_not_used_up() -> None:
    """As everywhere: a refusal by one limit is not counted by another."""
    there, clock = limits(guest=Profile(rate=1, period_s=10, burst=2), site_factor=1)
    assert [passes(there.decide(Action.GUEST, network(number))) for number in (0, 0, 1, 1, 1)] == [True] * 2 + [
        False
    ] * 3
    clock.now_ns = 20 * SECOND_NS
    assert [passes(there.decide(Action.GUEST, network(1))) for _ in range(2)] == [True, True]
    [status] = [each for each in there.status() if each.name == "guest"]
    assert (status.refused, status.buckets) == (3, 2)


def test_a_right_password_uses_up_nothing_of_its_site() -> None:
    """What is given back is given back to both."""
    there, _ = limits(password=ONE, site_factor=1)
    for _ in range(3):
        assert passes(there.decide(Action.GUESS, network(0), "ada"))
        there.give_back(Action.GUESS, network(0), "ada")
    assert passes(there.decide(Action.GUESS, network(1), "ada"))


def test_callers_are_not_counted_by_site() -> None:
    """Who has shown a credential is counted by that; without one it is the address."""
    there, _ = limits(read=ONE, site_factor=1)
    assert [passes(there.decide(Action.READ, network(0), caller)) for caller in ("ada", "bob", None)] == [True] * 3
    assert not passes(there.decide(Action.READ, network(1)))


def test_sites_are_bounded_in_memory_and_follow_the_settings() -> None:
    """A table no larger than that of the addresses; another factor holds for the next request."""
    there, _ = limits(guest=ONE, max_buckets=100, site_factor=1)
    for site in range(1000):
        there.decide(Action.GUEST, network(0, site))
    assert len(there._sites["guest"].buckets) == 100
    few, _ = limits(guest=ONE, site_factor=1)
    assert [passes(few.decide(Action.GUEST, network(number))) for number in (0, 1)] == [True, False]
    few.apply(LimitSettings(guest=ONE, site_factor=2))
    assert [passes(few.decide(Action.GUEST, network(number))) for number in (1, 2)] == [True, False]


# -- posts that are refused -------------------------------------------------------------------------------------------


def test_a_post_that_is_refused_is_given_back_to_its_conversation_once() -> None:
    """Somebody who may not post uses up nothing of what the others have; what was accepted stays counted."""
    there, _ = limits(conversation=Profile(rate=1, period_s=10, burst=2))
    assert passes(there.decide(Action.POST, "a", "ada", "x"))
    for _ in range(5):
        assert passes(there.decide(Action.POST, "a", "eve", "x"))
        charge = there.charged(Action.POST, "x")
        assert charge is not None
        charge.give_back(there.clock_ns())
    assert passes(there.decide(Action.POST, "a", "ada", "x"))
    assert not passes(there.decide(Action.POST, "a", "ada", "x"))


def test_only_what_counts_by_conversation_is_charged() -> None:
    """No reads, nothing without a conversation or with a name that is too long, nothing while the limit is off."""
    there, _ = limits(conversation=ONE)
    assert there.charged(Action.READ, "x") is None
    assert there.charged(Action.POST, "") is None
    assert there.charged(Action.POST, "x" * 129) is None
    assert Limits(LimitSettings(), Clock()).charged(Action.POST, "x") is None


@given(st.lists(st.tuples(st.sampled_from([0, 0, 1, 11]), st.booleans()), max_size=12), st.integers(0, 13))
def test_giving_back_lets_nobody_exceed_the_limit(posts: list[tuple[int, bool]], late_s: int) -> None:
    """However late refusals are known, accepted posts stay within burst and rate."""
    there, clock = limits(conversation=Profile(rate=1, period_s=10, burst=2))
    accepted: list[int] = []
    waiting: list[tuple[int, Charge]] = []
    now_s = 0
    for pause_s, is_refused in posts:
        now_s += pause_s
        for at_s, charge in [each for each in waiting if each[0] <= now_s]:
            clock.now_ns = max(clock.now_ns, at_s * SECOND_NS)
            charge.give_back(clock.now_ns)
        waiting = [each for each in waiting if each[0] > now_s]
        clock.now_ns = now_s * SECOND_NS
        if not passes(there.decide(Action.POST, None, "ada", "x")):
            continue
        charge = there.charged(Action.POST, "x")
        assert charge is not None
        if is_refused:
            waiting.append((now_s + late_s, charge))
        else:
            accepted.append(now_s)
    for first, begin_s in enumerate(accepted):
        for last, end_s in enumerate(accepted[first:], first):
            assert last - first + 1 <= 2 + (end_s - begin_s) / 10
