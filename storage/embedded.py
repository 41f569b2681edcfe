"""A private Postgres in a data directory: made on first use, found again after a crash, kept alive, stopped with us.

`open_embedded` is the whole interface. Its invariants:

- One owner. A lock on the data directory is held from before the first look at it until Postgres has ended.
- Nothing of an earlier life works on the data when a Postgres is started: after kill -9 of the server its Postgres is
  identified (`_orphan`), stopped and started anew.
- Leaving the context, however it is left, leaves no process: Postgres is stopped under a shield. Only kill -9 of this
  process leaves an orphan, and the next start deals with it.
- While the context is open, a Postgres that dies is started again; connections to it break and must be made anew. One that
  dies again and again is tried at a slow pace, and `problem` says so: what is in memory can be served meanwhile, and what made
  it die (a full disk, the kernel's memory killer) may be mended without a restart of the server.

It runs on a unix socket that only its account (and root) can reach, so there is no password. It needs Linux (``/proc``,
pidfds) and real time: it waits for processes, which a mock clock does not. It knows nothing of the driver and the schema.

Files in reading order: this, `_cluster` (the directory), `_postmaster` (one process), `_orphan` (what an earlier life
left), `_binaries` (which Postgres), `_account` (as whom), `_embedded_errors`.
"""

import contextlib
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypedDict
from urllib.parse import quote

import attrs
import trio

from ..actors.restart import GiveUp, RestartIntensity, RestartWindow
from ..engine.log import get_logger
from ._account import Account, choose_account
from ._binaries import SHARED_DIR, Binaries, find_binaries
from ._cluster import (
    DATABASE,
    PORT,
    USER,
    Layout,
    check_reach,
    create_cluster,
    locked,
    open_data_dir,
    prepare_socket_dir,
    remove_half_made,
)
from ._embedded_errors import (
    DataDirectoryInUse,
    DataDirectoryUnusable,
    EmbeddedError,
    PostgresFailed,
    PostgresNotFound,
    WrongMajorVersion,
)
from ._orphan import QUIT_GRACE_S, end_leftovers, remove_stale_pid_file
from ._postmaster import Postmaster, cut_log, log_tail, start_postmaster

__all__ = [
    "ConnectArgs",
    "DataDirectoryInUse",
    "DataDirectoryUnusable",
    "EmbeddedError",
    "EmbeddedPostgres",
    "EmbeddedSettings",
    "EmbeddedStatistics",
    "PostgresFailed",
    "PostgresNotFound",
    "WrongMajorVersion",
    "cluster_major",
    "connect_args_of",
    "default_data_dir",
    "open_embedded",
]

_LOG_CHECK_S = 10.0
_RESTARTS = RestartIntensity(max_restarts=5, within_s=60.0, backoff_first_s=0.05, backoff_factor=2.0, backoff_max_s=1.0)
_LEAST_STOP_S = 2.0
_HURRIED_QUIT_S = 1.0
_logger = get_logger("hubbub.storage.embedded")


@attrs.frozen
class EmbeddedSettings:
    """How to run the embedded Postgres.

    Attributes:
        data_dir: where everything lies; created when absent.
        bin_dir: take the Postgres programs in this directory; None finds them.
        start_timeout_s: how long a start may take until it accepts connections, recovery included.
        stop_timeout_s: how long a fast shutdown may take before it is cut short (the next start then recovers).
        shared_buffers: as in Postgres.
        max_connections: as in Postgres.
        restarts: how many deaths are bearable, and how long to wait after each.
        slow_retry_s: after more deaths, how long to wait before each try, in seconds; None gives up instead.
        max_log_bytes: the log is cut at this size; twice as much is kept on disk.
    """

    data_dir: Path = attrs.field(converter=Path)
    bin_dir: Path | None = attrs.field(default=None, kw_only=True)
    start_timeout_s: float = attrs.field(default=30.0, kw_only=True, validator=attrs.validators.gt(0))
    stop_timeout_s: float = attrs.field(default=15.0, kw_only=True, validator=attrs.validators.gt(0))
    shared_buffers: str = attrs.field(default="32MB", kw_only=True)
    max_connections: int = attrs.field(default=20, kw_only=True, validator=attrs.validators.gt(0))
    restarts: RestartIntensity = attrs.field(default=_RESTARTS, kw_only=True)
    slow_retry_s: float | None = attrs.field(default=10.0, kw_only=True)
    max_log_bytes: int = attrs.field(default=1 << 20, kw_only=True, validator=attrs.validators.gt(0))


class ConnectArgs(TypedDict):
    """What ``asyncpg.connect(**connect_args)`` needs; `host` is the directory of the socket."""

    host: str
    port: int
    user: str
    database: str


@attrs.frozen
class EmbeddedStatistics:
    """What happened so far.

    Attributes:
        pid: of the Postgres that runs, or ran last.
        starts: how often a Postgres became ready; more than 1 when it died on the way.
        deaths: how often it died, starts that failed included.
        leftovers: how many processes of an earlier life were found and ended.
        last_start_s: how long the last start took, from starting the process until ready.
    """

    pid: int
    starts: int
    deaths: int
    leftovers: int
    last_start_s: float


def default_data_dir() -> Path:
    """Return the data directory to use when none is named: ``hubbub-data`` here, as root ``/var/lib/hubbub``.

    Root's directories are often closed to the account that Postgres runs as; ``/var/lib`` is not.
    """
    return SHARED_DIR if os.geteuid() == 0 else Path("hubbub-data")


def connect_args_of(data_dir: Path) -> ConnectArgs:
    """Where the Postgres of a data directory is reached while a server runs on it; changes nothing and promises nothing."""
    return ConnectArgs(
        host=str(Layout(data_dir.expanduser().resolve()).socket_dir), port=PORT, user=USER, database=DATABASE
    )


def cluster_major(data_dir: Path) -> int | None:
    """The major version of the Postgres in a data directory, None where there is none yet.

    Raises:
        DataDirectoryUnusable: there is something else in its place.
    """
    with _opening(data_dir):
        return Layout(data_dir.expanduser().resolve()).data_major()


class EmbeddedPostgres:
    """A running Postgres, as `open_embedded` gives it; not made directly."""

    def __init__(self, settings: EmbeddedSettings, layout: Layout, binaries: Binaries, account: Account) -> None:
        self._settings = settings
        self._layout = layout
        self._binaries = binaries
        self._account = account
        self._postmaster: Postmaster | None = None
        self._problem: str | None = None
        self._stop_by = float("inf")
        self._starts = self._deaths = self._leftovers = 0
        self._last_start_s = 0.0

    @property
    def connect_args(self) -> ConnectArgs:
        """Keyword arguments for ``asyncpg.connect`` or ``asyncpg.create_pool``; they stay the same over restarts."""
        return connect_args_of(self._layout.data_dir)

    @property
    def dsn(self) -> str:
        """The same as a URL, which ``psql`` takes too."""
        return f"postgresql://{USER}@/{DATABASE}?host={quote(str(self._layout.socket_dir), safe='')}&port={PORT}"

    @property
    def version(self) -> str:
        """The version of Postgres, such as ``18.6``."""
        return self._binaries.version

    @property
    def bin_dir(self) -> Path:
        """Where its programs are, ``pg_dump`` among them."""
        return self._binaries.bin_dir

    @property
    def pid(self) -> int:
        """The process id of the Postgres that runs, or ran last."""
        assert self._postmaster is not None, "open_embedded hands it out only when it runs"
        return self._postmaster.pid

    @property
    def problem(self) -> str | None:
        """Why it does not run now, a sentence for an operator; None when it does."""
        return self._problem

    def stop_by(self, deadline: float) -> None:
        """Be done with stopping by this time (trio's clock), or 2 s after it has begun when that is later.

        A Postgres that takes longer is ended hard; nothing that it has committed is lost, the next start recovers.
        """
        self._stop_by = deadline

    def statistics(self) -> EmbeddedStatistics:
        """Return what happened so far."""
        return EmbeddedStatistics(self.pid, self._starts, self._deaths, self._leftovers, self._last_start_s)

    async def _start(self) -> None:
        """Start Postgres and wait until it is ready. When this fails or is cancelled, `_stop` cleans up."""
        settings = self._settings
        self._leftovers += await end_leftovers(self._layout.cluster, grace_s=settings.stop_timeout_s)
        remove_stale_pid_file(self._layout.cluster)
        prepare_socket_dir(self._layout, self._account)
        began = trio.current_time()
        self._postmaster = await start_postmaster(
            self._layout,
            self._binaries,
            self._account,
            shared_buffers=settings.shared_buffers,
            max_connections=settings.max_connections,
        )
        await self._postmaster.wait_ready(settings.start_timeout_s)
        self._last_start_s = trio.current_time() - began
        self._starts += 1
        _logger.info("postgres.ready", pid=self.pid, version=self.version, seconds=round(self._last_start_s, 3))

    async def _stop(self) -> None:
        """Stop Postgres, if it runs, and whatever it left."""
        with trio.CancelScope(shield=True):
            if self._postmaster is None:
                return
            left_s = max(_LEAST_STOP_S, self._stop_by - trio.current_time())
            quit_s = QUIT_GRACE_S if self._stop_by == float("inf") else _HURRIED_QUIT_S
            await self._postmaster.stop(min(self._settings.stop_timeout_s, left_s), quit_s=quit_s)
            await end_leftovers(self._layout.cluster, grace_s=0, quit_s=quit_s)
            if not self._layout.socket_dir.is_relative_to(self._layout.data_dir):
                with contextlib.suppress(OSError):  # not empty after a crash; the next start uses it again
                    self._layout.socket_dir.rmdir()

    async def _supervise(self, on_restart: Callable[[], None] | None) -> None:
        """Start Postgres again whenever it dies.

        Raises:
            PostgresFailed: it died more often than the settings allow, and they say to give up then.
        """
        window = RestartWindow(self._settings.restarts)
        while True:
            assert self._postmaster is not None
            status = await self._postmaster.wait()
            _logger.warning("postgres.died", pid=self.pid, status=status)
            self._problem = "Postgres has died and is being started again"
            while not await self._restart(window):
                pass
            if on_restart is not None:
                on_restart()

    async def _restart(self, window: RestartWindow) -> bool:
        """Count a death, wait, and try to start once; say whether it is ready."""
        self._deaths += 1
        verdict = window.crashed(trio.current_time())
        await trio.sleep(self._wait_too_many(verdict) if isinstance(verdict, GiveUp) else verdict.after_s)
        try:
            await self._start()
        except (EmbeddedError, OSError) as exc:
            _logger.warning("postgres.restart_failed", error=str(exc))
            await self._stop()
            return False
        self._problem = None
        return True

    def _wait_too_many(self, verdict: GiveUp) -> float:
        """It died too often: say so, and how long to wait before the next try, or give up."""
        died = f"Postgres died again after {verdict.restarts} restarts"
        wait_s = self._settings.slow_retry_s
        if wait_s is None:
            raise PostgresFailed(f"{died}; its log is {self._layout.log}", log_tail=log_tail(self._layout.log))
        self._problem = f"{died} and is tried every {wait_s:g} s; its log is {self._layout.log}"
        _logger.error("postgres.dies_often", restarts=verdict.restarts, log=str(self._layout.log))
        return wait_s

    async def _keep_log_small(self) -> None:
        while True:
            await trio.to_thread.run_sync(cut_log, self._layout, self._settings.max_log_bytes)
            await trio.sleep(_LOG_CHECK_S)


@asynccontextmanager
async def open_embedded(
    settings: EmbeddedSettings, *, on_restart: Callable[[], None] | None = None
) -> AsyncIterator[EmbeddedPostgres]:
    """Run a private Postgres for as long as the context is open.

    The first start in a directory takes about a second, later ones 0.1 s, and longer when there is something to recover.
    When Postgres dies it is started again; when that happens too often at a slow pace, or, with ``slow_retry_s=None``, the body
    is cancelled and PostgresFailed raised.

    Cancellation: at any point, leaves no process and no half-made cluster. Leaving stops Postgres under a shield, for at
    most `stop_timeout_s` and some seconds more.

    Args:
        settings: where and how.
        on_restart: called after Postgres died and is ready again. It must not block; what it raises ends the context.

    Raises:
        EmbeddedError: one of its kinds, each saying what to do.
    """
    with _opening(settings.data_dir):
        layout = open_data_dir(settings.data_dir)
    with contextlib.ExitStack() as stack:
        with _opening(settings.data_dir):
            stack.enter_context(locked(layout))
            postgres = await _prepare(settings, layout)
        try:
            with _opening(settings.data_dir):
                await postgres._start()
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(postgres._supervise, on_restart)
                    nursery.start_soon(postgres._keep_log_small)
                    yield postgres
                    nursery.cancel_scope.cancel()
            except BaseExceptionGroup as group:
                raise _single(group) from None
        finally:
            await postgres._stop()


async def _prepare(settings: EmbeddedSettings, layout: Layout) -> EmbeddedPostgres:
    """Find account and programs, end what an earlier life left half-made, make the cluster if there is none."""
    account = choose_account(layout.cluster)
    check_reach(layout, account)
    await remove_half_made(layout)
    data_major = layout.data_major()
    binaries = await find_binaries(account, bin_dir=settings.bin_dir, data_major=data_major)
    if data_major is None:
        await create_cluster(layout, binaries, account)
    return EmbeddedPostgres(settings, layout, binaries, account)


@contextlib.contextmanager
def _opening(data_dir: Path) -> Iterator[None]:
    """Make the system's refusals while opening (closed, full, read-only) an error of ours."""
    try:
        yield
    except OSError as exc:
        raise DataDirectoryUnusable(f"Postgres in {data_dir} cannot be started: {exc}") from exc


def _single(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the one exception that an embedder should meet: the nursery is ours, so is its group.

    Giving up comes first, since whatever the body raised follows from it; then the body's own exception.
    """
    gave_up = [exc for exc in group.exceptions if isinstance(exc, EmbeddedError)]
    others = [exc for exc in group.exceptions if not isinstance(exc, trio.Cancelled)]
    return (gave_up or others or list(group.exceptions))[0]
