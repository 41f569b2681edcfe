"""Supervisors crash real children: while starting, handling, draining, too often, all at once."""

# ruff: noqa: PT012  what is raised leaves an `async with`, so these blocks are more than one statement

import random

import pytest
import trio
import trio.lowlevel
import trio.testing

from hubbub.actors import (
    Actor,
    ActorDied,
    ChildSpec,
    Exit,
    MailboxClosed,
    RestartIntensity,
    RestartsExceeded,
    RestartType,
    StartFailed,
    Strategy,
    Supervisor,
)

PATIENT = RestartIntensity(max_restarts=20, within_s=10, backoff_first_s=0.1, backoff_factor=1)


class BoomError(Exception):
    """The crash of these tests."""


class Worker(Actor[str]):
    """Writes what it does into a log; "crash" crashes it, "stop" ends it, "slow" takes a second."""

    def __init__(self, name: str, log: list[str], *, drain_s: float = 0, crash_on_stop: bool = False) -> None:
        self.name = name
        self.log = log
        self.drain_s = drain_s
        self.crash_on_stop = crash_on_stop

    async def on_start(self) -> None:
        self.log.append(f"{self.name} start")

    async def on_batch(self, batch: list[str]) -> None:
        for message in batch:
            self.log.append(f"{self.name} {message}")
            if message == "crash":
                raise BoomError(self.name)
            if message == "stop":
                self.stop()
            if message == "slow":
                await trio.sleep(1)

    async def on_stop(self) -> None:
        await trio.sleep(self.drain_s)
        self.log.append(f"{self.name} stop")
        if self.crash_on_stop:
            raise BoomError("while draining")


def workers(log: list[str], names: str, restart: RestartType = "permanent") -> list[ChildSpec[str]]:
    return [ChildSpec(name, lambda name=name: Worker(name, log), restart=restart) for name in names]  # type: ignore[misc]


async def test_children_start_in_order_and_stop_in_reverse(autojump_clock: trio.testing.MockClock) -> None:
    """Start waits for each child; leaving the scope drains mailboxes and stops in reverse order."""
    log: list[str] = []
    async with Supervisor("root", children=workers(log, "abc")).open() as root:
        assert log == ["a start", "b start", "c start"]
        root.ref("a").cast("last words")
    assert [line for line in log if "stop" in line] == ["c stop", "b stop", "a stop"]
    assert log.index("a last words") < log.index("a stop")


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("one_for_one", ["b crash", "b start"]),
        ("one_for_all", ["b crash", "c stop", "a stop", "a start", "b start", "c start"]),
        ("rest_for_one", ["b crash", "c stop", "b start", "c start"]),
    ],
)
async def test_strategies(strategy: Strategy, expected: list[str], autojump_clock: trio.testing.MockClock) -> None:
    """Each strategy stops and restarts the children it names, in order, and keeps their handles valid."""
    log: list[str] = []
    async with Supervisor("root", strategy, children=workers(log, "abc"), intensity=PATIENT).open() as root:
        handles = [root.ref(name) for name in "abc"]
        handles[1].cast("crash")
        await trio.testing.wait_all_tasks_blocked()
        for handle in handles:
            handle.cast("ping")  # also into the mailboxes of those that wait for their restart
        await trio.sleep(1)
        assert [line for line in log[3:] if "ping" not in line] == expected
        assert sorted(line for line in log if "ping" in line) == ["a ping", "b ping", "c ping"]


@pytest.mark.parametrize(
    ("restart", "message", "restarted"),
    [
        ("permanent", "crash", True),
        ("permanent", "stop", True),
        ("transient", "crash", True),
        ("transient", "stop", False),
        ("temporary", "crash", False),
        ("temporary", "stop", False),
    ],
)
async def test_restart_types(
    restart: RestartType, message: str, restarted: bool, autojump_clock: trio.testing.MockClock
) -> None:
    """Permanent always restarts, transient after a crash, temporary never and is forgotten."""
    log: list[str] = []
    async with Supervisor("root", children=workers(log, "a", restart), intensity=PATIENT).open() as root:
        handle = root.ref("a")
        handle.cast(message)
        await trio.sleep(1)
        assert log.count("a start") == 1 + restarted
        nodes = root.tree().children
        assert [node.state for node in nodes] == (
            [] if restart == "temporary" else ["running" if restarted else "stopped"]
        )
        if not restarted:
            with pytest.raises(MailboxClosed):
                handle.cast("ping")


async def test_one_for_all_forgets_temporary_and_revives_finished_siblings(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """As in OTP: a temporary sibling is stopped for good, a transient one that had ended runs again with its group."""
    log: list[str] = []
    children = [*workers(log, "t", "temporary"), *workers(log, "n", "transient"), *workers(log, "p")]
    async with Supervisor("root", "one_for_all", children=children, intensity=PATIENT).open() as root:
        temporary = root.ref("t").monitor()
        root.ref("n").cast("stop")
        await trio.lowlevel.checkpoint()
        await trio.testing.wait_all_tasks_blocked()
        root.ref("p").cast("crash")
        await trio.sleep(1)
        assert temporary.exit == Exit("shutdown")
        assert [(node.name, node.state) for node in root.tree().children] == [("n", "running"), ("p", "running")]
        root.ref("n").cast("again")
    assert "n again" in log


async def test_backoff_grows_and_the_mailbox_waits(autojump_clock: trio.testing.MockClock) -> None:
    """The waits between restarts grow by the factor; messages put meanwhile are handled after the restart."""
    log: list[str] = []
    starts: list[float] = []

    class Timed(Worker):
        async def on_start(self) -> None:
            starts.append(trio.current_time())

    intensity = RestartIntensity(max_restarts=3, within_s=100, backoff_first_s=1, backoff_factor=2, backoff_max_s=3)
    async with Supervisor(
        "root", children=[ChildSpec("a", lambda: Timed("a", log))], intensity=intensity
    ).open() as root:
        for _ in range(3):
            root.ref("a").cast("crash")
            await trio.testing.wait_all_tasks_blocked()
            assert root.tree().children[0].state == "backoff"
            root.ref("a").cast("kept")
            await trio.sleep(5)
    assert starts == [0, 1, 5 + 2, 10 + 3]
    assert log.count("a kept") == 3


async def test_too_many_crashes_escalate_with_the_cause(autojump_clock: trio.testing.MockClock) -> None:
    """One crash more than the intensity bears stops the others in order and leaves the scope with the last cause."""
    log: list[str] = []
    with pytest.raises(RestartsExceeded) as caught:
        async with Supervisor("root", children=workers(log, "abc")).open() as root:
            for _ in range(4):
                root.ref("b").cast("crash")
                await trio.sleep(1)
            await trio.sleep_forever()
    assert isinstance(caught.value.__cause__, BoomError)
    assert caught.value.restarts == 3
    assert log[-2:] == ["c stop", "a stop"]


async def test_the_intensity_is_that_of_the_whole_supervisor(autojump_clock: trio.testing.MockClock) -> None:
    """Four children that crash once each, all at once, exceed an intensity of three."""
    log: list[str] = []
    with pytest.raises(RestartsExceeded):
        async with Supervisor("root", children=workers(log, "abcd")).open() as root:
            for name in "abcd":
                root.ref(name).cast("crash")
            await trio.sleep_forever()


async def test_all_at_once_within_the_intensity(autojump_clock: trio.testing.MockClock) -> None:
    """Every child crashes in the same turn, and every child comes back."""
    log: list[str] = []
    async with Supervisor("root", children=workers(log, "abcdefgh"), intensity=PATIENT).open() as root:
        for name in "abcdefgh":
            root.ref(name).cast("crash")
        await trio.sleep(1)
        assert {node.state for node in root.tree().children} == {"running"}
        assert root.tree().restarts == 8


async def test_escalation_restarts_the_parents_child(autojump_clock: trio.testing.MockClock) -> None:
    """A supervisor that gives up is a crash to its parent, which starts it anew with its own children."""
    log: list[str] = []
    sub = Supervisor("sub", children=workers(log, "a"), intensity=RestartIntensity(max_restarts=0))
    children = [ChildSpec("sub", lambda: sub), *workers(log, "z")]
    async with Supervisor("root", children=children, intensity=PATIENT).open() as root:
        whole = root.ref("sub").monitor(incarnation=True)
        sub.ref("a").cast("crash")
        ended = await whole.wait()
        assert isinstance(ended.error, RestartsExceeded)
        assert isinstance(ended.error.__cause__, BoomError)
        await trio.sleep(1)
        assert [(node.name, node.kind, node.state) for node in root.tree().walk()] == [
            ("root", "supervisor", "running"),
            ("sub", "supervisor", "running"),
            ("a", "actor", "running"),
            ("z", "actor", "running"),
        ]
        assert log.count("a start") == 2
        assert "sub (supervisor) running restarts 1" in root.tree().render()
    assert log[-2:] == ["z stop", "a stop"]


async def test_escalation_to_the_root_keeps_the_chain(autojump_clock: trio.testing.MockClock) -> None:
    """Through two supervisors the causes are still there, in order."""
    log: list[str] = []
    never = RestartIntensity(max_restarts=0)
    sub = Supervisor("sub", children=workers(log, "a"), intensity=never)
    with pytest.raises(RestartsExceeded) as caught:
        async with Supervisor("root", children=[ChildSpec("sub", lambda: sub)], intensity=never).open():
            sub.ref("a").cast("crash")
            await trio.sleep_forever()
    middle = caught.value.__cause__
    assert isinstance(middle, RestartsExceeded)
    assert (middle.name, type(middle.__cause__)) == ("sub", BoomError)


async def test_a_first_start_that_fails_stops_those_before_it(autojump_clock: trio.testing.MockClock) -> None:
    """The scope is not entered; the error names the child and carries its cause."""
    log: list[str] = []

    def broken() -> Worker:
        raise BoomError("no such thing")

    with pytest.raises(StartFailed, match="'bad'") as caught:
        async with Supervisor("root", children=[*workers(log, "ab"), ChildSpec("bad", broken)]).open():
            pytest.fail("entered")
    assert isinstance(caught.value.__cause__, BoomError)
    assert log == ["a start", "b start", "b stop", "a stop"]


async def test_crashes_while_restarting_count(autojump_clock: trio.testing.MockClock) -> None:
    """A restart that fails to start is tried again until the intensity is exceeded."""
    attempts: list[float] = []

    class Frail(Worker):
        async def on_start(self) -> None:
            attempts.append(trio.current_time())
            if len(attempts) > 1:
                raise BoomError("while starting")

    log: list[str] = []
    with pytest.raises(RestartsExceeded):
        async with Supervisor("root", children=[ChildSpec("a", lambda: Frail("a", log))]).open() as root:
            root.ref("a").cast("crash")
            await trio.sleep_forever()
    assert len(attempts) == 1 + 3


async def test_a_restart_may_succeed_after_failing(autojump_clock: trio.testing.MockClock) -> None:
    """Two failed restarts, then one that works: the mailbox is read on."""
    log: list[str] = []
    starts = iter([True, False, False, True])

    class Frail(Worker):
        async def on_start(self) -> None:
            if not next(starts):
                raise BoomError("while starting")

    async with Supervisor("root", children=[ChildSpec("a", lambda: Frail("a", log))]).open() as root:
        root.ref("a").cast("crash")
        await trio.testing.wait_all_tasks_blocked()
        root.ref("a").cast("kept")
        await trio.sleep(2)
        assert log == ["a crash", "a kept"]
        assert root.tree().children[0].restarts == 3


async def test_a_crash_while_draining_is_told_and_stops_nothing_else(autojump_clock: trio.testing.MockClock) -> None:
    """A child that crashes in `on_stop` neither keeps the others from stopping nor is restarted."""
    log: list[str] = []
    children = [
        *workers(log, "a"),
        ChildSpec("b", lambda: Worker("b", log, crash_on_stop=True)),
        *workers(log, "c"),
    ]
    async with Supervisor("root", children=children).open() as root:
        monitor = root.ref("b").monitor()
    assert log[3:] == ["c stop", "b stop", "a stop"]
    assert monitor.exit is not None
    assert isinstance(monitor.exit.error, BoomError)


async def test_each_child_has_its_own_deadline(autojump_clock: trio.testing.MockClock) -> None:
    """A child past its deadline is cancelled hard; the next one still gets all of its own time."""
    log: list[str] = []
    children = [
        ChildSpec("a", lambda: Worker("a", log, drain_s=3), shutdown_s=4),
        ChildSpec("b", lambda: Worker("b", log, drain_s=100), shutdown_s=2),
    ]
    async with Supervisor("root", children=children).open():
        began_s = trio.current_time()
    assert log == ["a start", "b start", "a stop"]
    assert trio.current_time() - began_s == 5


async def test_cancellation_from_outside_drains_in_order(autojump_clock: trio.testing.MockClock) -> None:
    """Cancelling the scope around it runs the same ordered shutdown, with time to drain."""
    log: list[str] = []
    children = [ChildSpec(name, lambda name=name: Worker(name, log, drain_s=1)) for name in "ab"]  # type: ignore[misc]
    with trio.move_on_after(5) as scope:
        async with Supervisor("root", children=children).open() as root:
            root.ref("a").cast("work")
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert log[-2:] == ["b stop", "a stop"]
    assert trio.current_time() == 7


async def test_a_child_that_starts_for_ever_does_not_hold_up_cancellation(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A child that is not ready has nothing to drain and is cancelled at once."""

    class Stuck(Worker):
        async def on_start(self) -> None:
            await trio.sleep_forever()

    with trio.move_on_after(1):
        async with Supervisor("root", children=[ChildSpec("a", lambda: Stuck("a", []))]).open():
            pytest.fail("entered")
    assert trio.current_time() == 1


async def test_plain_tasks(autojump_clock: trio.testing.MockClock) -> None:
    """A plain task is ready when it says so, restarted when it crashes, and stopped by cancellation."""
    log: list[str] = []

    async def task(task_status: trio.TaskStatus[None]) -> None:
        await trio.sleep(1)
        log.append("ready")
        task_status.started()
        try:
            await trio.sleep(10)
            raise BoomError
        finally:
            log.append("ended")

    async with Supervisor("root", children=[ChildSpec("t", task)], intensity=PATIENT).open() as root:
        assert trio.current_time() == 1
        with pytest.raises(MailboxClosed):
            root.ref("t").cast("tasks have no mailbox")
        await trio.sleep(15)
        assert (root.tree().children[0].kind, root.tree().children[0].depth) == ("task", None)
    assert log == ["ready", "ended", "ready", "ended"]


async def test_a_task_that_returns_before_it_is_ready_failed(autojump_clock: trio.testing.MockClock) -> None:
    """Forgetting `started` is an error, not a hang."""

    async def task(task_status: trio.TaskStatus[None]) -> None:
        pass

    with pytest.raises(StartFailed) as caught:
        async with Supervisor("root", children=[ChildSpec("t", task)]).open():
            pytest.fail("entered")
    assert isinstance(caught.value.__cause__, RuntimeError)


async def test_error_groups_are_crashes(autojump_clock: trio.testing.MockClock) -> None:
    """A child whose own nursery fails is restarted; the group is the cause."""

    async def task(task_status: trio.TaskStatus[None]) -> None:
        async with trio.open_nursery() as nursery:
            task_status.started()
            await trio.sleep(1)
            nursery.start_soon(boom)

    async def boom() -> None:
        raise BoomError

    with pytest.raises(RestartsExceeded) as caught:
        async with Supervisor(
            "root", children=[ChildSpec("t", task)], intensity=RestartIntensity(max_restarts=1)
        ).open():
            await trio.sleep_forever()
    assert isinstance(caught.value.__cause__, ExceptionGroup)


async def test_what_is_no_exception_passes_through(autojump_clock: trio.testing.MockClock) -> None:
    """KeyboardInterrupt in a child is no crash: the others stop in order and it comes out."""
    log: list[str] = []

    class Interrupted(Worker):
        async def on_batch(self, batch: list[str]) -> None:
            raise KeyboardInterrupt

    with pytest.raises(BaseExceptionGroup) as caught:
        async with Supervisor(
            "root", children=[*workers(log, "ab"), ChildSpec("k", lambda: Interrupted("k", log))]
        ).open() as root:
            root.ref("k").cast("now")
            await trio.sleep_forever()
    assert caught.group_contains(KeyboardInterrupt)
    assert log[-2:] == ["b stop", "a stop"]


async def test_the_blocks_own_error_comes_out_unwrapped(autojump_clock: trio.testing.MockClock) -> None:
    """An embedder's exception is not dressed in the inner nursery's group."""
    log: list[str] = []
    with pytest.raises(BoomError):
        async with Supervisor("root", children=workers(log, "a")).open():
            raise BoomError
    assert log[-1] == "a stop"


async def test_dynamic_children(autojump_clock: trio.testing.MockClock) -> None:
    """Children come and go by name; failures are told to who asked and leave the rest alone."""
    log: list[str] = []
    async with Supervisor("root", children=workers(log, "a")).open() as root:
        (spec,) = workers(log, "b")
        (await root.start_child(spec)).cast("hello")
        with pytest.raises(ValueError, match="already"):
            await root.start_child(spec)
        with pytest.raises(StartFailed):
            await root.start_child(ChildSpec("c", lambda: Worker("c", None)))  # type: ignore[arg-type]
        with pytest.raises(KeyError):
            await root.stop_child("c")
        await root.stop_child("b")
        assert log == ["a start", "b start", "b hello", "b stop"]
        assert [node.name for node in root.tree().children] == ["a"]
    with pytest.raises(ActorDied):
        await root.start_child(spec)


async def test_a_request_that_the_end_overtakes_is_answered(autojump_clock: trio.testing.MockClock) -> None:
    """Whoever waits for a slow start when the supervisor ends gets ActorDied."""

    class Slow(Worker):
        async def on_start(self) -> None:
            await trio.sleep(100)

    async def ask(root: Supervisor, *names: str) -> None:
        with pytest.raises(ActorDied):
            await root.start_child(ChildSpec(names[0], lambda: Slow("s", [])))

    async with trio.open_nursery() as nursery, Supervisor("root").open() as root:
        nursery.start_soon(ask, root, "x")
        nursery.start_soon(ask, root, "y")
        await trio.sleep(1)
    assert trio.current_time() == 1


async def test_requests_are_served_while_a_child_waits_in_backoff(autojump_clock: trio.testing.MockClock) -> None:
    """Backoff delays the crashed child only."""
    log: list[str] = []
    slow = RestartIntensity(max_restarts=1, within_s=100, backoff_first_s=10, backoff_max_s=10)
    async with Supervisor("root", children=workers(log, "a"), intensity=slow).open() as root:
        root.ref("a").cast("crash")
        await trio.testing.wait_all_tasks_blocked()
        await root.start_child(workers(log, "b")[0])
        await root.stop_child("a")
        assert trio.current_time() == 0
        assert log == ["a start", "a crash", "b start"]


def test_names_are_checked() -> None:
    """Two children of one name and an unknown strategy are refused when they are written."""
    with pytest.raises(ValueError, match="one name"):
        Supervisor("root", children=workers([], "aa"))
    with pytest.raises(ValueError, match="strategy"):
        Supervisor("root", "some_for_none")  # type: ignore[arg-type]


class CancelAfter(trio.abc.Instrument):
    """Cancels a scope after a number of task steps."""

    def __init__(self, scope: trio.CancelScope, steps: int) -> None:
        self.scope = scope
        self.steps = steps

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self.steps -= 1
        if self.steps == 0:
            self.scope.cancel()


async def _busy_tree(log: list[str], rng: random.Random) -> None:
    sub = Supervisor("sub", "rest_for_one", children=workers(log, "xyz"), intensity=PATIENT)
    children = [*workers(log, "abc"), ChildSpec("sub", lambda: sub)]
    async with Supervisor("root", "one_for_all", children=children, intensity=PATIENT).open() as root:
        for _ in range(30):
            supervisor, names = rng.choice([(root, "abc"), (sub, "xyz")])
            try:
                supervisor.ref(rng.choice(names)).cast(rng.choice(["crash", "slow", "ping", "stop"]))
                match rng.randrange(4):
                    case 0:
                        await trio.sleep(0.01)
                    case 1:
                        await trio.sleep(0.2)
                    case 2:
                        await supervisor.start_child(ChildSpec("dyn", lambda: Worker("dyn", log)))
                    case _:
                        await supervisor.stop_child("dyn")
            except (KeyError, ValueError, ActorDied, MailboxClosed, StartFailed):
                pass


@pytest.mark.parametrize("seed", range(60))
async def test_cancelled_anywhere_it_leaves_nothing(seed: int, autojump_clock: trio.testing.MockClock) -> None:
    """Cancelled after a random number of steps, a busy tree of supervisors ends in time and leaves no task."""
    rng = random.Random(seed)
    log: list[str] = []
    before = trio.lowlevel.current_statistics().tasks_living
    with trio.CancelScope() as scope:
        instrument = CancelAfter(scope, rng.randrange(1, 600))
        trio.lowlevel.add_instrument(instrument)
        try:
            with trio.fail_after(500):
                await _busy_tree(log, rng)
        except RestartsExceeded:
            pass
        finally:
            trio.lowlevel.remove_instrument(instrument)
    assert trio.lowlevel.current_statistics().tasks_living == before
