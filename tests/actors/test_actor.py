"""Actors, calls and monitors: real actors under a real supervisor."""

import gc
from collections.abc import Callable

import attrs
import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from hubbub.actors import (
    Actor,
    ActorDied,
    ActorRef,
    CallTimeout,
    ChildSpec,
    Exit,
    MailboxClosed,
    MailboxFull,
    Reply,
    RestartIntensity,
    Supervisor,
)

PATIENT = RestartIntensity(max_restarts=50, within_s=10, backoff_first_s=0.01, backoff_max_s=0.01)


class BoomError(Exception):
    """The crash of these tests."""


@attrs.frozen(eq=False)
class Ask:
    """One request; `act` says what the actor does with it, after `delay_s`."""

    act: str
    reply: Reply[str]
    delay_s: float = 0.0


class Oracle(Actor[Ask]):
    """Does what it is asked, and keeps what it is told to keep."""

    def __init__(self) -> None:
        self.kept: list[Ask] = []
        self.verdicts: list[bool] = []

    async def on_batch(self, batch: list[Ask]) -> None:
        for ask in batch:
            if ask.delay_s:
                await trio.sleep(ask.delay_s)
            match ask.act:
                case "answer":
                    self.verdicts.append(ask.reply.set("first"))
                    self.verdicts.append(ask.reply.set("second"))
                case "fail":
                    ask.reply.fail(BoomError("asked to fail"))
                case "keep":
                    self.kept.append(ask)
                case "crash":
                    raise BoomError("asked to crash")
                case "stop":
                    self.stop()
                case "drop":
                    pass


def ask(act: str, delay_s: float = 0.0) -> Callable[[Reply[str]], Ask]:
    return lambda reply: Ask(act, reply, delay_s)


def spec(start: Callable[[], Oracle] = Oracle, **options: object) -> ChildSpec[Ask]:
    return ChildSpec("oracle", start, **options)  # type: ignore[arg-type]


async def test_a_call_is_answered_once(autojump_clock: trio.testing.MockClock) -> None:
    """The first answer counts; the second is ignored and reported as False."""
    oracle = Oracle()
    async with Supervisor("root").open() as root:
        ref = await root.start_child(spec(lambda: oracle))
        assert await ref.call(ask("answer"), timeout_s=1) == "first"
    assert oracle.verdicts == [True, False]


async def test_the_actors_error_reaches_the_caller(autojump_clock: trio.testing.MockClock) -> None:
    """`Reply.fail` raises at the caller and does not crash the actor."""
    async with Supervisor("root").open() as root:
        ref = await root.start_child(spec())
        with pytest.raises(BoomError):
            await ref.call(ask("fail"), timeout_s=1)
        assert root.tree().restarts == 0


async def test_a_late_answer_is_dropped(autojump_clock: trio.testing.MockClock) -> None:
    """Past the deadline the caller gets CallTimeout, and the actor learns that nobody waits."""
    oracle = Oracle()
    async with Supervisor("root").open() as root:
        ref = await root.start_child(spec(lambda: oracle))
        with pytest.raises(CallTimeout) as caught:
            await ref.call(ask("answer", delay_s=2), timeout_s=1)
        assert (trio.current_time(), caught.value.timeout_s) == (1, 1)
        assert await ref.call(ask("answer"), timeout_s=5) == "first"
    assert oracle.verdicts == [False, False, True, False]


async def test_a_dropped_reply_is_noticed_at_once(autojump_clock: trio.testing.MockClock) -> None:
    """An actor that lets go of the reply fails the call long before the deadline."""
    async with Supervisor("root").open() as root:
        ref = await root.start_child(spec())
        with pytest.raises(ActorDied) as caught:
            await ref.call(ask("drop"), timeout_s=100)
        assert caught.value.cause is None
        assert trio.current_time() < 1


async def test_a_reply_collected_in_another_thread_is_noticed() -> None:
    """The finaliser may run in any thread; the caller still gets ActorDied."""
    oracle = Oracle()
    async with Supervisor("root").open() as root, trio.open_nursery() as nursery:
        ref = await root.start_child(spec(lambda: oracle))

        async def call() -> None:
            with pytest.raises(ActorDied):
                await ref.call(ask("keep"), timeout_s=20)

        nursery.start_soon(call)
        await trio.testing.wait_all_tasks_blocked()
        await trio.to_thread.run_sync(oracle.kept.clear)


async def test_a_crash_fails_taken_calls_and_keeps_the_waiting_ones(autojump_clock: trio.testing.MockClock) -> None:
    """Replies taken by the crashed incarnation, kept ones too, fail at once; a message still waiting is answered later."""
    results: dict[str, object] = {}

    async def call(ref: ActorRef[Ask], name: str, act: str, delay_s: float = 0) -> None:
        try:
            answer = await ref.call(ask(act, delay_s), timeout_s=100)
            results[name] = answer
        except ActorDied as exc:
            results[name] = exc.cause
            results[f"{name} at"] = trio.current_time()

    async with Supervisor("root", intensity=PATIENT).open() as root, trio.open_nursery() as nursery:
        ref = await root.start_child(spec())
        nursery.start_soon(call, ref, "kept", "keep")
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(call, ref, "crashing", "crash", 1)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(call, ref, "waiting", "answer")
    assert isinstance(results["kept"], BoomError)
    assert results["crashing"] is results["kept"]
    assert results["kept at"] == results["crashing at"] == 1
    assert results["waiting"] == "first"


async def test_calls_to_the_dead_fail(autojump_clock: trio.testing.MockClock) -> None:
    """After the end for good, `call` raises ActorDied with the cause, `cast` MailboxClosed; so do messages left inside."""
    async with Supervisor("root").open() as root:
        ref = await root.start_child(spec(restart="temporary"))
        seen: list[BaseException | None] = []

        async def call(act: str, delay_s: float) -> None:
            with pytest.raises(ActorDied) as caught:
                await ref.call(ask(act, delay_s), timeout_s=100)
            seen.append(caught.value.cause)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(call, "crash", 1)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(call, "answer", 0)
        await call("answer", 0)
        assert [type(cause) for cause in seen] == [BoomError] * 3
        with pytest.raises(MailboxClosed):
            ref.cast(seen)  # type: ignore[arg-type]


async def test_a_full_mailbox_refuses_call_and_cast(autojump_clock: trio.testing.MockClock) -> None:
    """Past the bound the caller is refused at once and nothing is stored."""
    async with Supervisor("root").open() as root, trio.open_nursery() as nursery:
        ref = await root.start_child(spec(mailbox_capacity=1))
        nursery.start_soon(lambda: ref.call(ask("answer", 1), timeout_s=10))
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(lambda: ref.call(ask("answer"), timeout_s=10))
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(MailboxFull):
            await ref.call(ask("answer"), timeout_s=10)
        assert (ref.statistics().depth, ref.statistics().refused) == (1, 1)


async def test_monitors_tell_the_reason(autojump_clock: trio.testing.MockClock) -> None:
    """A crash ends an incarnation, a normal stop of a transient child ends it for good."""
    async with Supervisor("root", intensity=PATIENT).open() as root:
        ref = await root.start_child(spec(restart="transient"))
        one, whole = ref.monitor(incarnation=True), ref.monitor()
        with pytest.raises(ActorDied):
            await ref.call(ask("crash"), timeout_s=1)
        crashed = await one.wait()
        assert crashed.reason == "crashed"
        assert isinstance(crashed.error, BoomError)
        assert whole.exit is None
        with pytest.raises(ActorDied):
            await ref.call(ask("stop"), timeout_s=1)
        assert await whole.wait() == Exit("normal")
        assert await ref.monitor().wait() == Exit("normal")


async def test_a_stopped_child_ends_by_shutdown(autojump_clock: trio.testing.MockClock) -> None:
    """`stop_child` and the supervisor's end are told as shutdown."""
    async with Supervisor("root").open() as root:
        first = (await root.start_child(spec())).monitor()
        await root.stop_child("oracle")
        assert first.exit == Exit("shutdown")
        second = (await root.start_child(spec())).monitor()
    assert second.exit == Exit("shutdown")


@settings(max_examples=60, deadline=None)
@given(
    calls=st.lists(
        st.tuples(
            st.sampled_from(["answer", "fail", "keep", "crash", "drop"]),
            st.sampled_from([0.0, 0.5, 1.0]),  # how long the actor takes
            st.sampled_from([0.2, 1.0, 1.5, 30.0]),  # the caller's patience
            st.none() | st.sampled_from([0.0, 0.5, 1.0]),  # the caller is cancelled then
            st.sampled_from([0.0, 0.5, 1.0, 2.0]),  # when it calls
        ),
        min_size=1,
        max_size=12,
    )
)
def test_every_call_has_exactly_one_outcome(
    calls: list[tuple[str, float, float, float | None, float]],
) -> None:
    """Whatever comes together of crash, timeout, late answer and cancellation, each caller gets one outcome in time."""
    outcomes: dict[int, list[str]] = {number: [] for number in range(len(calls))}

    async def call(ref: ActorRef[Ask], number: int) -> None:
        act, delay_s, timeout_s, cancel_at_s, start_s = calls[number]
        await trio.sleep(start_s)
        begun_s = trio.current_time()
        with trio.CancelScope() as scope:
            if cancel_at_s is not None:
                scope.deadline = begun_s + cancel_at_s
            try:
                outcomes[number].append(await ref.call(ask(act, delay_s), timeout_s=timeout_s))
                assert act == "answer"
            except CallTimeout:
                outcomes[number].append("timeout")
                assert trio.current_time() == begun_s + timeout_s
            except ActorDied:
                outcomes[number].append("died")
            except BoomError:
                outcomes[number].append("failed")
                assert act == "fail"
        if scope.cancelled_caught:
            outcomes[number].append("cancelled")
        assert trio.current_time() <= begun_s + timeout_s

    async def main() -> None:
        async with Supervisor("root", intensity=PATIENT).open() as root:
            ref = await root.start_child(spec())
            async with trio.open_nursery() as nursery:
                for number in range(len(calls)):
                    nursery.start_soon(call, ref, number)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    gc.collect()
    assert all(len(got) == 1 for got in outcomes.values()), outcomes


async def test_an_actor_can_write_to_itself(autojump_clock: trio.testing.MockClock) -> None:
    """`self.ref` is the handle others hold."""
    done = trio.Event()

    class Echo(Actor[str]):
        async def on_start(self) -> None:
            self.ref.cast("to myself")

        async def on_batch(self, batch: list[str]) -> None:
            assert batch == ["to myself"]
            done.set()

    async with Supervisor("root", children=[ChildSpec("echo", Echo)]).open():
        with trio.fail_after(1):
            await done.wait()


async def test_max_batch_bounds_a_batch(autojump_clock: trio.testing.MockClock) -> None:
    """An actor that names a bound gets its backlog in pieces, in order."""
    batches: list[list[int]] = []

    class Small(Actor[int]):
        max_batch = 2

        async def on_batch(self, batch: list[int]) -> None:
            batches.append(batch)

    async with Supervisor("root", children=[ChildSpec("small", Small)]).open() as root:
        for number in range(5):
            root.ref("small").cast(number)
    assert batches == [[0, 1], [2, 3], [4]]
