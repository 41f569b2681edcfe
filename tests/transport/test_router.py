"""Routes that are asked again and again are remembered, within bounds, and are the same as those looked up."""

from __future__ import annotations

from trio.testing import MockClock

from hubbub.transport.http_message import Request, Response
from hubbub.transport.http_route import Hot, Stream
from hubbub.transport.router import _KNOWN_PATHS, Router

from .house import House, head_of, house

ROOM = "/api/v1/conversations/lobby"


def ask(there: House, router: Router, method: str, path: str) -> int | None:
    """The status of the answer, or None where it comes later."""
    route = router.route(head_of(method, path))
    assert isinstance(route, Hot)
    answers: list[Response] = []
    route.handler(Request(head_of(method, path, f"Authorization: Bearer {there.token}"), b""), answers.append)
    return answers[0].status if answers else None


async def test_a_remembered_route_serves_as_the_first_time(autojump_clock: MockClock) -> None:
    """By path and method: another method of the same path is another route, and what is not served stays so."""
    async with house() as there:
        router = Router(there.api)
        for _ in range(2):
            assert ask(there, router, "GET", "/health") == 200
            assert ask(there, router, "HEAD", "/health") == 200
            assert ask(there, router, "DELETE", "/health") == 405
            assert ask(there, router, "GET", "/api/nothing") == 404
            assert ask(there, router, "POST", ROOM + "/messages") == 400
            assert isinstance(router.route(head_of("GET", ROOM + "/events")), Stream)
            assert router.route(head_of("GET", "/")) is None
        assert router.route(head_of("GET", ROOM)) is router.route(head_of("GET", ROOM))


async def test_what_is_remembered_is_bounded(autojump_clock: MockClock) -> None:
    """However many paths are asked for, and however long they are."""
    async with house() as there:
        router = Router(there.api)
        for number in range(2 * _KNOWN_PATHS + 1):
            router.route(head_of("GET", f"{ROOM}{number}"))
        long = ROOM + "x" * 500
        assert router.route(head_of("GET", long)) is not router.route(head_of("GET", long))
        assert len(router._known) <= _KNOWN_PATHS
