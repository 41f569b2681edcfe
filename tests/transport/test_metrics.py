"""The page of figures, read by Prometheus's own parser."""

from __future__ import annotations

import json
from typing import NoReturn

import attrs
import pytest
from prometheus_client.parser import text_string_to_metric_families
from trio.testing import MockClock

from hubbub.engine import Draft
from hubbub.engine._room import Room
from hubbub.transport.limit_settings import LimitSettings
from hubbub.transport.loop_lag import BOUNDS_S

from .house import House, head_of, house


async def series(there: House) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every series with its value."""
    answer = await there.operate("GET", "/metrics")
    assert answer.status == 200
    assert dict(answer.headers)["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


async def test_a_page_goes_over_no_subscribers(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A room of ten thousand costs a scrape what a room of one costs: each room tells how many there are."""

    def walk(_: Room) -> NoReturn:
        raise AssertionError("somebody goes over a room's subscribers")

    async with house() as there, there.engine.conversation("lobby").subscribe():
        with monkeypatch.context() as patched:
            patched.setattr(Room, "subscribers", walk)
            found = await series(there)
        assert found["hubbub_subscribers", ()] == 1


async def test_the_figures_are_the_engines(autojump_clock: MockClock) -> None:
    """What happened is counted under its name."""
    async with house() as there:
        lobby = there.engine.conversation("lobby")
        async with lobby.subscribe():
            for number in range(3):
                await lobby.post(Draft(f"post {number}", author="ada"))
            found = await series(there)
        assert found["hubbub_conversations", ()] == 1
        assert found["hubbub_subscribers", ()] == 1
        assert found["hubbub_tail_bytes", ()] > 0
        assert found["hubbub_conversations_quarantined", ()] == 0
        assert found["hubbub_conversation_crashes_total", ()] == 0
        assert found["hubbub_tail_replays_total", ()] == 0
        assert found["hubbub_writer_rows_total", ()] == found["hubbub_writer_commit_rows_sum", ()] == 3
        assert found["hubbub_writer_commit_seconds_count", ()] == found["hubbub_writer_commits_total", ()]
        assert found["hubbub_fanout_lag_seconds_count", ()] == found["hubbub_writer_commits_total", ()]
        assert found["hubbub_quarantines_total", ()] == 0
        assert found["hubbub_config_generation", ()] == 1
        assert 1 <= found["hubbub_writer_commits_total", ()] <= 3
        assert found["hubbub_store_reads_total", ()] == there.store.reads > 0
        assert found["hubbub_ready", ()] == 1
        assert found["hubbub_trio_tasks", ()] > 1
        assert found["process_resident_memory_bytes", ()] > 1_000_000
        assert found["process_open_fds", ()] > 0
        assert found["hubbub_part_restarts_total", (("part", "storage"),)] == 0


async def busy(there: House, number: int) -> None:
    """What a user does: come in, make a room, post, read, ask for what is not there or not allowed."""
    guest = json.loads((await there.call("POST", "/api/v1/auth/guest", {"name": f"guest {number}"})).body)["token"]
    bearer, name = f"Authorization: Bearer {guest}", f"room-{number}"
    path = f"/api/v1/conversations/{name}/messages"
    await there.call("POST", "/api/v1/conversations", {"id": name})
    await there.call("POST", path, {"text": "hello"}, f"Idempotency-Key: key-{number}")
    await there.call("GET", path)
    await there.call("GET", f"/api/v1/conversations/nowhere-{number}/messages")
    await there.dispatch(head_of("GET", path, bearer))
    await there.dispatch(head_of("GET", path, f"Authorization: Bearer wrong-{number}"))
    await there.dispatch(head_of("DELETE", f"/api/v1/admin/quarantined/{name}", bearer))
    await there.operate("DELETE", f"/api/v1/admin/quarantined/{name}")


async def test_the_number_of_series_does_not_grow(autojump_clock: MockClock) -> None:
    """Rooms, users, paths and posts change values, never what there is; no label says who or where."""
    async with house() as there:
        there.api.live.replace(attrs.evolve(there.api.live.current, limits=LimitSettings(on=False)))
        await busy(there, 0)
        await series(there)
        before = await series(there)
        for number in range(1, 40):
            await busy(there, number)
        after = await series(there)
        assert before.keys() == after.keys()
        assert after["hubbub_conversations", ()] >= 40
        values = {value for _, labels in after for _, value in labels}
        assert not [value for value in values if "room-" in value or "guest-" in value]


async def test_answers_are_counted_by_route_and_class(autojump_clock: MockClock) -> None:
    """What the client counts is what the page says; the route's template stands for all its paths."""
    template = "/api/v1/conversations/{id}/messages"
    async with house() as there:
        statuses = [
            (await there.call("GET", f"/api/v1/conversations/{name}/messages")).status
            for name in ("lobby", "nowhere", "lobby", "nowhere", "lobby")
        ]
        found = await series(there)
        route = (("method", "GET"), ("route", template))
        for kind, status in (("2xx", 200), ("4xx", 404)):
            assert found["hubbub_requests_total", (*route, ("status", kind))] == statuses.count(status)
        assert found["hubbub_request_seconds_count", route] == len(statuses)
        refused = (("code", "not_found"), ("transport", "rest"))
        assert found["hubbub_refusals_total", refused] == statuses.count(404)


async def test_the_lag_is_a_histogram(autojump_clock: MockClock) -> None:
    """Its buckets add up, and the worst of late is told."""
    async with house() as there:
        assert there.api.operator is not None
        for late_s in (0.0002, 0.004, 0.3, 7.0):
            there.api.operator.lag.note(late_s)
        found = await series(there)
        buckets = {
            labels[0][1]: value for (name, labels), value in found.items() if name == "hubbub_loop_lag_seconds_bucket"
        }
        assert len(buckets) == len(BOUNDS_S) + 1
        assert (buckets["0.001"], buckets["0.005"], buckets["0.25"], buckets["0.5"]) == (1, 2, 2, 3)
        assert buckets["+Inf"] == found["hubbub_loop_lag_seconds_count", ()] == 4
        assert found["hubbub_loop_lag_worst_seconds", ()] == 7.0
