"""Structured events: their context, and what they do not tell."""

from __future__ import annotations

import trio

from hubbub.engine.log import CONVERSATION, get_logger, stack_of

from ..logs import capture_logs

_log = get_logger("hubbub.tests.log")
TEXT = "the rollout is done"


def broken() -> Exception:
    """An error that quotes a message, caused by another one, in a group."""
    try:
        try:
            raise KeyError(TEXT)
        except KeyError as error:
            raise ValueError(f"bad text {TEXT!r}") from error
    except ValueError as error:
        return ExceptionGroup("several", [error])


async def test_a_context_is_in_every_event_of_its_tasks() -> None:
    """Also of those that are started in it, and of nobody else; what an event says itself wins."""

    async def work() -> None:
        await trio.lowlevel.checkpoint()
        _log.info("later")
        _log.info("itself", conversation="other")

    with capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            token = CONVERSATION.set("lobby")
            nursery.start_soon(work)
            _log.info("now")
            CONVERSATION.reset(token)
            _log.info("outside")
    found = {log["event"]: log.get("conversation") for log in logs}
    assert found == {"now": "lobby", "outside": None, "later": "lobby", "itself": "other"}


def test_an_error_is_told_without_what_it_quotes() -> None:
    """Types and places of it, of its cause and of what a group holds."""
    with capture_logs() as logs:
        _log.error("failed", exc_info=broken())
    [log] = logs
    assert TEXT not in str(log)
    for part in ("ExceptionGroup: several", "ValueError: bad text '...'", "KeyError: '...'", "in broken"):
        assert part in log["stack"]


def test_the_error_at_hand_is_told() -> None:
    """`exception` needs no argument, as in the standard library."""
    with capture_logs() as logs:
        try:
            raise OSError("disk full")
        except OSError:
            _log.exception("failed")
    assert "OSError: disk full" in logs[0]["stack"]


def test_a_stack_is_bounded() -> None:
    """A group of a thousand errors is told by some of them."""
    assert len(stack_of(ExceptionGroup("many", [ValueError("x") for _ in range(1000)])).splitlines()) < 100


def test_a_credential_in_an_event_is_hidden() -> None:
    """By the name of its field, and by its shape anywhere."""
    with capture_logs() as logs:
        _log.warning("odd", token="abc", why="found hbg_" + "a" * 43)
    assert logs == [{"event": "odd", "token": "[redacted]", "why": "found [redacted]", "log_level": "warning"}]
