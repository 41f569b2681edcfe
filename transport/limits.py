"""Limits: what may be asked how often, by whom, and the one place that decides it for every transport.

An action is what a request asks for, as far as limits go; a profile is a rate with a name and says whom it counts. A table
(`limit_settings`) says which profiles an action is counted on. Profiles have defaults, the configuration may set others, and an
admin may set any of them for good: those are kept in the database and stand above the configuration.

Invariants:
- A request that one profile refuses uses up none of the others.
- Nothing is counted by a path or by any other text of unbounded length or number: buckets are bounded (`engine.core.buckets`).
- What counts by address counts by IPv6 site, too: whoever has a /48 has 65,536 addresses as limits see them, and gets
  `site_factor` times what one gets. IPv4 pays nothing for that.
- A post that is refused for good uses up nothing of what its conversation has for all.
- What is changed, by configuration or by an admin, holds for the next request; buckets keep what they have given.
- Whoever has no address (`address.py`) and no credential is not limited.

Left out: counts of what is open at the same time (`admission.py`), the admin's calls (`limit_calls.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import attrs
import msgspec

from ..engine.core.buckets import MAX_RATE, SECOND_NS, Buckets, Denied, Limit, Verdict
from ..engine.core.errors import RateLimited
from ..engine.log import get_logger
from .address import site_of
from .http_message import Quota
from .limit_settings import PROFILES, RULES, Action, Counted, LimitSettings, Profile

_log = get_logger("hubbub.transport.limits")

_NEVER_BY_ADDRESS: Final = (Counted.CONVERSATION, Counted.CONNECTION)
_MAX_ID_CHARS: Final = 128  # of a conversation; longer ones are refused anyway, and must not become keys


class LimitReached(RateLimited):
    """Too often for a limit; `quota` is what the answer says about it."""

    def __init__(self, profile: str, limit: int, denied: Denied) -> None:
        after_s = denied.after_ns / SECOND_NS
        super().__init__(f"too often for the limit {profile!r}, try again in {after_s:.3g} s", retry_after_s=after_s)
        self.quota = quota_of(limit, denied)


def quota_of(limit: int, verdict: Verdict) -> Quota:
    """What an answer says about a verdict, whichever way it went. Times are rounded up: who waits so long is let through."""
    return Quota(limit, verdict.remaining, -(-verdict.reset_ns // SECOND_NS))


class Ruling(msgspec.Struct, frozen=True):
    """What the limits say to one request.

    Attributes:
        profile: the name of the profile that refuses it, else of the one of its sender's own that is nearest to.
        limit: that profile's burst.
        verdict: on its bucket.
    """

    profile: str
    limit: int
    verdict: Verdict

    @property
    def refusal(self) -> LimitReached | None:
        """The error for a request that is refused, None for one that is let through."""
        if isinstance(self.verdict, Denied):
            return LimitReached(self.profile, self.limit, self.verdict)
        return None

    def quota(self) -> Quota:
        """What the answer says about it."""
        return quota_of(self.limit, self.verdict)


@attrs.frozen(kw_only=True)
class ProfileStatus:
    """A profile as an admin sees it.

    Attributes:
        name, counted: which, and by what.
        profile: what holds now.
        configured: what holds when no admin has set anything.
        is_set: an admin has.
        buckets: who is counted apart now.
        crowded: requests that had to share a bucket with others, since the start.
        refused: requests refused since the start.
    """

    name: str
    counted: Counted
    profile: Profile
    configured: Profile
    is_set: bool
    buckets: int
    crowded: int
    refused: int


@attrs.define(eq=False)
class _Counter:
    """The buckets of one profile."""

    name: str
    counted: Counted
    buckets: Buckets
    refused: int = 0


def is_refusal(status: int) -> bool:
    """Whether an answer says for certain that nothing becomes of the request."""
    return 400 <= status < 500


@attrs.frozen
class Charge:
    """What a post has used of its conversation's limit, to be given back when nothing becomes of it.

    Others post meanwhile, and the bucket refills. Until the time at which it would have been full it was never full, so what is
    given back by then is exactly what was taken; later there is nothing left to give back.
    """

    _buckets: Buckets
    _conversation: str
    _full_at_ns: int

    def give_back(self, now_ns: int) -> None:
        """The post was refused."""
        if now_ns < self._full_at_ns:
            self._buckets.give_back(self._conversation)


class Limits:
    """Decides about every request of one server.

    Args:
        settings: of the start.
        clock_ns: nanoseconds, never running back.
    """

    def __init__(self, settings: LimitSettings, clock_ns: Callable[[], int]) -> None:
        self.clock_ns = clock_ns
        self._settings = settings
        self._set: dict[str, Profile] = {}  # by an admin
        self._counters = {
            name: _Counter(name, counted, Buckets(profile.limit(1), settings.max_buckets))
            for (name, counted), profile in zip(PROFILES.items(), settings.profiles().values(), strict=True)
        }
        self._sites = {
            name: _Counter(name, counter.counted, Buckets(counter.buckets.limit, settings.max_buckets))
            for name, counter in self._counters.items()
            if counter.counted not in _NEVER_BY_ADDRESS
        }
        self._rules: dict[Action, tuple[_Counter, ...]] = {}
        self._site_rules: dict[Action, tuple[_Counter, ...]] = {}
        self._shared: dict[Action, _Counter | None] = {}
        self._refused_commands = 0
        self._compile()

    def apply(self, settings: LimitSettings) -> None:
        """Take other settings; what admins have set stays above them."""
        self._settings = settings
        self._compile()

    def set_profile(self, name: str, profile: Profile | None) -> None:
        """Set a profile above the configuration, or take that back with None; it is for the caller to keep it.

        Raises:
            KeyError: there is no such profile.
        """
        if name not in PROFILES:
            raise KeyError(name)
        if profile is None:
            self._set.pop(name, None)
        else:
            self._set[name] = profile
        self._compile()

    def load(self, kept: Iterable[tuple[str, Profile]]) -> None:
        """Take over what admins have set earlier. Names that are no longer known are left alone."""
        self._set = {name: profile for name, profile in kept if name in PROFILES}
        self._compile()

    def status(self) -> list[ProfileStatus]:
        """All profiles, in the order of the settings."""
        return [
            ProfileStatus(
                name=name,
                counted=counter.counted,
                profile=self._set.get(name, configured),
                configured=configured,
                is_set=name in self._set,
                buckets=len(counter.buckets),
                crowded=counter.buckets.statistics().crowded,
                refused=self._refused_by(counter),
            )
            for (name, configured), counter in zip(
                self._settings.profiles().items(), self._counters.values(), strict=True
            )
        ]

    def decide(
        self,
        action: Action,
        address: str | None,
        caller: str | None = None,
        conversation: str = "",
        now_ns: int | None = None,
    ) -> Ruling | None:
        """Count a request, or refuse it.

        Args:
            action: what it asks for.
            address: the client's key; None for whom limits by address do not hold.
            caller: the id of the principal, None where there is none.
            conversation: the conversation that it is about, "" for none.
            now_ns: the time, where it has been looked at just now.

        Returns:
            None where nothing limits it.
        """
        rules = self._rules[action]
        if not rules:
            return None
        if len(conversation) > _MAX_ID_CHARS:
            conversation = ""
        if now_ns is None:
            now_ns = self.clock_ns()
        nearest: tuple[_Counter, Verdict] | None = None
        least = MAX_RATE
        for counter in rules:
            key = _key(counter.counted, address, caller, conversation)
            if key is None:
                continue
            verdict = counter.buckets.take(key, now_ns)
            if isinstance(verdict, Denied):
                counter.refused += 1
                _give_back(rules[: rules.index(counter)], address, caller, conversation)
                return Ruling(counter.name, counter.buckets.limit.burst, verdict)
            if verdict.remaining < least and counter.counted is not _CONVERSATION:  # what others do there is not told
                nearest, least = (counter, verdict), verdict.remaining
        if address is not None and ":" in address:
            refusal = self._refusal_of_site(action, site_of(address), caller, now_ns)
            if refusal is not None:
                _give_back(rules, address, caller, conversation)
                return refusal
        if nearest is None:
            return None
        counter, verdict = nearest
        return Ruling(counter.name, counter.buckets.limit.burst, verdict)

    def _refusal_of_site(self, action: Action, site: str, caller: str | None, now_ns: int) -> Ruling | None:
        """Count what is counted by address for all of a site, too, or refuse it. What is left to the site is not told: others
        use it."""
        rules = self._site_rules[action]
        for taken, counter in enumerate(rules):
            key = _site_key(counter.counted, site, caller)
            if key is None:
                continue
            verdict = counter.buckets.take(key, now_ns)
            if isinstance(verdict, Denied):
                counter.refused += 1
                _give_back_to_site(rules[:taken], site, caller)
                return Ruling(counter.name, counter.buckets.limit.burst, verdict)
        return None

    def take_command(self, full_at_ns: int, now_ns: int) -> int:
        """Count a command of one connection, which keeps the state of its bucket itself.

        Args:
            full_at_ns: what the last call returned; 0 before the first.
            now_ns: never less than at an earlier call.

        Raises:
            LimitReached: it sends too many; the state stays.
        """
        if self._commands is None:
            return full_at_ns
        verdict = self._commands.decide(full_at_ns, now_ns)
        if isinstance(verdict, Denied):
            self._refused_commands += 1
            raise LimitReached("command", self._commands.burst, verdict)
        return now_ns + verdict.reset_ns

    def charged(self, action: Action, conversation: str) -> Charge | None:
        """What the request that `decide` has just let through has used of its conversation's limit; None where nothing."""
        counter = self._shared[action]
        if counter is None or not 0 < len(conversation) <= _MAX_ID_CHARS:
            return None
        return Charge(counter.buckets, conversation, counter.buckets.full_at_ns(conversation))

    def give_back(self, action: Action, address: str | None, caller: str | None = None) -> None:
        """Undo a `decide` of a moment ago that let a request through: it has turned out not to count."""
        _give_back(self._rules[action], address, caller, "")
        if address is not None and ":" in address:
            _give_back_to_site(self._site_rules[action], site_of(address), caller)

    def _refused_by(self, counter: _Counter) -> int:
        if counter.counted is Counted.CONNECTION:
            return self._refused_commands
        site = self._sites.get(counter.name)
        return counter.refused + (0 if site is None else site.refused)

    def _compile(self) -> None:
        """Put settings and what admins have set in force."""
        settings = self._settings
        active: set[str] = set()
        for name, configured in settings.profiles().items():
            profile = self._set.get(name, configured)
            self._adapt(self._counters[name], profile.limit(settings.factor))
            if name in self._sites:
                self._adapt(self._sites[name], profile.limit(settings.factor * settings.site_factor))
            if settings.on and profile.on:
                active.add(name)
        for action, names in RULES.items():
            rules = tuple(self._counters[each] for each in names if each in active)
            self._rules[action] = rules
            self._site_rules[action] = tuple(self._sites[each.name] for each in rules if each.name in self._sites)
            self._shared[action] = next((each for each in rules if each.counted is _CONVERSATION), None)
        self._commands = self._counters["command"].buckets.limit if "command" in active else None

    def _adapt(self, counter: _Counter, limit: Limit) -> None:
        if limit != counter.buckets.limit:
            counter.buckets.change(limit, self.clock_ns())
        counter.buckets.max_buckets = self._settings.max_buckets


def _give_back(counters: Iterable[_Counter], address: str | None, caller: str | None, conversation: str) -> None:
    for counter in counters:
        paid = _key(counter.counted, address, caller, conversation)
        if paid is not None:
            counter.buckets.give_back(paid)


def _give_back_to_site(counters: Iterable[_Counter], site: str, caller: str | None) -> None:
    for counter in counters:
        paid = _site_key(counter.counted, site, caller)
        if paid is not None:
            counter.buckets.give_back(paid)


_ADDRESS, _CALLER, _MEMBER, _CONVERSATION = Counted.ADDRESS, Counted.CALLER, Counted.MEMBER, Counted.CONVERSATION
_ACCOUNT = Counted.ACCOUNT
# (names of their own: in Python 3.11 each look at a member of an enum costs as much as the rest of the function)


def _key(counted: Counted, address: str | None, caller: str | None, conversation: str) -> str | tuple[str, str] | None:
    """What a request is counted by, None where it is not. Addresses stand in another form than ids: nobody is both."""
    if counted is _CALLER and caller is not None:
        return caller
    if counted is _MEMBER and caller is not None:
        return caller, conversation
    if counted is _CONVERSATION:
        return conversation or None
    if address is None or counted is _ADDRESS:
        return address
    if counted is _ACCOUNT:
        return None if caller is None else (caller, address)
    return "", address


def _site_key(counted: Counted, site: str, caller: str | None) -> str | tuple[str, str] | None:
    """What a request is counted by for all of its site, None where it is not counted by address."""
    if counted is _ADDRESS:
        return site
    if counted is _ACCOUNT:
        return None if caller is None else (caller, site)
    return None if caller is not None else ("", site)
