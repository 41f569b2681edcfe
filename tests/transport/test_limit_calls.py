"""The admins' calls about limits: what they show, that a change holds for the next request, and that it is kept."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from hubbub.engine.core.permissions import Access
from hubbub.engine.core.principals import Scope
from hubbub.engine.limit_store import LimitRecord
from hubbub.testing.faulty import FaultyStore
from hubbub.transport.limit_calls import LIMIT_ROUTES, profiles_of
from hubbub.transport.limit_settings import PROFILES, LimitSettings, Profile

from ..logs import capture_logs
from .house import House, house

LIMITS = "/api/v1/admin/limits"
READ = {"rate": 1, "period_s": 60, "burst": 2}


async def shown(there: House, name: str) -> dict[str, Any]:
    answer = await there.operate("GET", LIMITS)
    assert answer.status == 200
    [found] = [each for each in json.loads(answer.body)["limits"] if each["name"] == name]
    return dict(found)


async def test_all_limits_are_shown(autojump_clock: MockClock) -> None:
    """Every profile with its values, whom it counts, and what it has done."""
    async with house() as there:
        await there.call("GET", "/api/v1/auth/me")
        answer = json.loads((await there.operate("GET", LIMITS)).body)
        assert [each["name"] for each in answer["limits"]] == list(PROFILES)
        assert (answer["on"], answer["factor"]) == (True, 1)
        assert answer["open"]["requests"] == {"now": 1, "most": 4096, "refused": 0}
        assert await shown(there, "read") == {
            "name": "read",
            "counted_by": "caller",
            "rate": 50,
            "period_s": 1,
            "burst": 200,
            "on": True,
            "source": "configuration",
            "buckets": 1,
            "crowded": 0,
            "refused": 0,
        }


async def test_a_changed_profile_holds_for_the_next_request(autojump_clock: MockClock) -> None:
    """D6: put, and the next request obeys; take it back, and the next request obeys that."""
    async with house() as there:
        answer = await there.operate("PUT", f"{LIMITS}/read", READ)
        assert answer.status == 200
        assert {**READ, "on": True, "source": "admin"}.items() <= json.loads(answer.body).items()
        statuses = [(await there.call("GET", "/api/v1/auth/me")).status for _ in range(3)]
        assert statuses == [200, 200, 429]
        assert (await shown(there, "read"))["refused"] == 1
        assert (await there.operate("DELETE", f"{LIMITS}/read")).status == 200
        assert (await there.call("GET", "/api/v1/auth/me")).status == 200
        assert (await shown(there, "read"))["source"] == "configuration"


async def test_a_profile_can_be_switched_off(autojump_clock: MockClock) -> None:
    """Then nothing is told of it either."""
    async with house() as there:
        await there.operate("PUT", f"{LIMITS}/read", {**READ, "on": False})
        answers = [await there.call("GET", "/api/v1/auth/me") for _ in range(5)]
        assert [(each.status, each.quota) for each in answers] == [(200, None)] * 5


async def test_what_was_set_is_stored_before_it_holds(autojump_clock: MockClock) -> None:
    """While the store is away nothing changes, and the answer says so."""
    store = FaultyStore()
    async with house() as there:
        there.engine.store = store
        store.away = True
        answer = await there.operate("PUT", f"{LIMITS}/read", READ)
        assert (answer.status, json.loads(answer.body)["code"]) == (503, "store_unavailable")
        assert (await shown(there, "read"))["burst"] == 200
        store.away = False
        await there.operate("PUT", f"{LIMITS}/read", READ)
        assert await store.limits.profiles() == [LimitRecord(name="read", on=True, **READ)]
        assert (await there.operate("DELETE", f"{LIMITS}/read")).status == 200
        assert await store.limits.profiles() == []


async def test_of_two_changes_the_one_stored_last_holds(autojump_clock: MockClock) -> None:
    """They do not overtake one another between the store and the server."""
    store = FaultyStore()
    async with house() as there:
        there.engine.store = store
        async with trio.open_nursery() as nursery:
            for burst in range(1, 9):
                nursery.start_soon(there.operate, "PUT", f"{LIMITS}/read", {**READ, "burst": burst})
        [kept] = await store.limits.profiles()
        assert (await shown(there, "read"))["burst"] == kept.burst


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "rate"),
        ({"rate": 1, "period_s": 1}, "burst"),
        ({**READ, "rate": 0}, "rate"),
        ({**READ, "rate": 1_000_001}, "rate"),
        ({**READ, "period_s": 604_801}, "period_s"),
        ({**READ, "burst": -1}, "burst"),
        ({**READ, "burst": 1.5}, "burst"),
        ({**READ, "burst": True}, "burst"),
        ({**READ, "burst": 10**30}, "burst"),
        ({**READ, "on": "yes"}, "on"),
        ([], "object"),
    ],
)
async def test_values_that_cannot_be_meant_are_refused(body: Any, named: str, autojump_clock: MockClock) -> None:
    """400 in the name of the field; nothing changes."""
    async with house() as there:
        answer = await there.operate("PUT", f"{LIMITS}/read", body)
        assert (answer.status, json.loads(answer.body)["code"]) == (400, "invalid_request")
        assert named in json.loads(answer.body)["detail"]
        assert (await shown(there, "read"))["source"] == "configuration"


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_a_limit_that_does_not_exist_is_404(method: str, autojump_clock: MockClock) -> None:
    """Limits are named by this program; nobody makes new ones."""
    async with house() as there:
        assert (await there.operate(method, f"{LIMITS}/nonsense", READ)).status == 404


def test_only_admins_may_call_them() -> None:
    """With the scope of an admin."""
    assert {(route.access, route.scope) for route in LIMIT_ROUTES} == {(Access.ADMIN, Scope.ADMIN)}


def test_what_another_version_has_stored_is_left_alone() -> None:
    """Values out of our bounds are logged and not taken over."""
    good = LimitRecord(name="read", on=True, **READ)
    with capture_logs() as logs:
        assert profiles_of([good, attrs.evolve(good, name="post", rate=0)]) == [("read", Profile(**READ))]
    assert [each["profile"] for each in logs] == ["post"]


async def test_what_was_set_holds_after_a_restart(autojump_clock: MockClock) -> None:
    """It is taken over at the start, above what is configured."""
    async with house() as there:
        await there.operate("PUT", f"{LIMITS}/read", READ)
        fresh = attrs.evolve(there.api.live.current, limits=LimitSettings())
        there.api.live.replace(fresh)
        assert (await shown(there, "read"))["burst"] == 2
        there.api.admission.limits.load(profiles_of(await there.store.limits.profiles()))
        assert (await shown(there, "read"))["source"] == "admin"
