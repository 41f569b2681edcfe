"""The reloader: reads the configuration again when asked, and puts what may change in force, whole or not at all.

Invariants: one reading at a time; a reading with any problem changes nothing; the settings in force are one immutable snapshot in
`Live`, replaced in one assignment; what admins set is on the disk before it is in force. One trio thread.

Left out: when to read (`watcher`, signals), what a source says (`loader`), who may ask (`transport.config_calls`).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path as FilePath
from typing import Any

import attrs
import trio

from ..actors import summary_of
from ..engine import Conflict, PreconditionFailed, StoreUnavailable
from ..engine.log import get_logger
from ..transport.certificates import Certificates
from ..transport.config_calls import ConfigStatus, SettingsRefused
from ..transport.live import Live
from . import overrides
from .documents import origins_document, tables_of
from .errors import ConfigError, Mistake
from .loader import Loaded, Sources, load
from .sources import admin_layer
from .tree import Config, schema
from .values import convert

_log = get_logger("hubbub.config")


class Reloader:
    """Implements `transport.config_calls.Configuration`.

    Args:
        sources: where settings come from; the environment and the flags are those of the start.
        started: what was read at the start.
        admin: what admins have set, as nested tables.
        data: the data directory, where that is kept.
        live: what readers hold; its settings are those of `started`.
        wall: milliseconds of the wall clock.
        certificates: of a server that speaks TLS itself; read again with the rest, and refused or taken apart from it.
    """

    def __init__(
        self,
        sources: Sources,
        started: Loaded,
        admin: Mapping[str, Any],
        data: FilePath,
        live: Live,
        wall: Callable[[], int],
        certificates: Certificates | None = None,
    ) -> None:
        self._sources = sources
        self._running = started.config.static
        self._loaded = started
        self._admin = dict(admin)
        self._data = data
        self._live = live
        self._wall = wall
        self._certificates = certificates
        self._life = secrets.token_hex(4)  # generations begin again with every start
        self._one_at_a_time = trio.Lock()
        self._outcome = ConfigStatus(generation=0)
        self._told: Callable[[str, Sequence[str], bool], None] = _tell_nobody
        live.subscribe(lambda settings: _log.info("config.replaced", generation=settings.generation))

    def tell(self, told: Callable[[str, Sequence[str], bool], None]) -> None:
        """From now on call `told` after each reload; see `Configuration`."""
        self._told = told

    @property
    def status(self) -> ConfigStatus:
        """How the last reading went."""
        outcome = self._outcome
        if self._certificates is not None and self._certificates.problem is not None:
            outcome = attrs.evolve(outcome, ok=False, problems=(*outcome.problems, self._certificates.problem))
        return attrs.evolve(outcome, generation=self._live.current.generation, needs_restart=self._needs_restart())

    @property
    def tag(self) -> str:
        """Names the settings in force; another one after every change and after every start."""
        return f"{self._live.current.generation}.{self._life}"

    def files(self) -> Iterator[FilePath]:
        """Whose content matters: the configuration's, those of secrets, the certificate's."""
        if self._sources.file is not None:
            yield self._sources.file
        yield from self._loaded.secret_files
        if self._certificates is not None:
            yield from self._certificates.files()

    def document(self) -> Mapping[str, Any]:
        """All settings with where each was said, secrets hidden."""
        config = Config(static=self._running, live=self._live.current)
        return {"settings": tables_of(config), "origins": origins_document(self._loaded)}

    async def reload(self, why: str) -> bool:
        """Read everything again. What is wrong is logged and in `status`, and changes nothing.

        Args:
            why: for the log: "file", "signal".

        Returns:
            whether the settings were taken.
        """
        async with self._one_at_a_time:
            if self._certificates is not None:
                await trio.to_thread.run_sync(self._certificates.reload)
            try:
                loaded = await self._read(self._admin)
            except ConfigError as error:
                self._outcome = ConfigStatus(generation=0, ok=False, at_ms=self._wall(), problems=tuple(error.lines()))
                generation = self._live.current.generation
                _log.error("config.refused", why=why, generation=generation, problems=error.lines())
                self._told(why, (), False)
                return False
            except Exception as error:  # noqa: BLE001  a bug in reading must not end a server that has good settings
                self._outcome = ConfigStatus(generation=0, ok=False, at_ms=self._wall(), problems=("internal error",))
                _log.error("config.failed", why=why, error=summary_of(error), exc_info=error)
                self._told(why, (), False)
                return False
            self._outcome = ConfigStatus(generation=0, at_ms=self._wall())
            self._told(why, self._take(loaded, why), True)
            return True

    async def merge(self, patch: Mapping[str, Any], *, tags: frozenset[str] | None, by: str) -> None:
        """Change live settings, durably; see `Configuration`. Cancelled, it is kept and in force or neither."""
        async with self._one_at_a_time:
            if tags is not None and self.tag not in tags:
                raise PreconditionFailed("the settings have changed since they were read: read them again")
            self._check_patch(patch)
            admin = overrides.merged(self._admin, patch)
            if not overrides.fits(admin):
                raise SettingsRefused(
                    [f"the settings made by admins are longer than {overrides.MAX_BYTES} bytes together"]
                )
            try:
                loaded = await self._read(admin)
            except ConfigError as error:
                raise SettingsRefused(error.lines_for_callers()) from error
            self._check_last_word(patch, loaded)
            with trio.CancelScope(
                shield=True
            ):  # kept and in force belong together; a disk takes no longer than it takes
                try:
                    await trio.to_thread.run_sync(overrides.write, self._data, admin)
                except OSError as error:
                    raise StoreUnavailable(f"the settings cannot be kept: {error.strerror}") from error
            self._admin = admin
            self._take(loaded, f"admin {by}")

    async def _read(self, admin: Mapping[str, Any]) -> Loaded:
        place = str(overrides.place(self._data))
        return await trio.to_thread.run_sync(partial(load, self._sources, admin, place))

    def _check_patch(self, patch: Mapping[str, Any]) -> None:
        """Refuse what an admin may not say; null counts as saying it, too."""
        layer = admin_layer(patch, "this call", schema())
        problems = [f"{problem.key}: {problem.message}" for problem in layer.problems]
        for path, said in layer.said.items():
            # Merging takes an empty table for nothing said, and what stood there away: nobody would read it and refuse it.
            if isinstance(said.value, Mapping):
                leaf = schema().leaves[path]
                try:
                    convert(leaf.kind, {}, textual=False, secret=leaf.secret)
                except Mistake as mistake:
                    problems.append(f"{leaf.key}: {mistake}")
        if problems:
            raise SettingsRefused(problems)

    def _check_last_word(self, patch: Mapping[str, Any], loaded: Loaded) -> None:
        for path, said in admin_layer(patch, "this call", schema()).said.items():
            origin = loaded.origin(path)
            if said.value is not None and origin.kind in ("environment", "flag"):
                raise Conflict(f"{'.'.join(path)} is fixed by {origin}, which has the last word")

    def _take(self, loaded: Loaded, why: str) -> Sequence[str]:
        """Put settings in force; gives the keys whose values are others now."""
        before = self._live.current
        after = attrs.evolve(loaded.config.live, generation=before.generation)
        self._loaded = loaded
        for warning in loaded.warnings:
            _log.warning("config.warning", warning=warning)
        if self._needs_restart():
            _log.warning("config.needs_restart", keys=self._needs_restart())
        if after == before:
            return ()
        keys = _changed(Config(live=before), Config(live=after))
        _log.info("config.changed", why=why, keys=keys)
        self._live.replace(after)
        return keys

    def _needs_restart(self) -> tuple[str, ...]:
        return tuple(_changed(Config(static=self._running), Config(static=self._loaded.config.static)))


def _tell_nobody(why: str, keys: Sequence[str], taken: bool) -> None:
    """Until somebody wants to know."""


def _changed(before: Config, after: Config) -> list[str]:
    """Keys whose values differ."""
    return [leaf.key for leaf in schema().leaves.values() if before.value(leaf) != after.value(leaf)]
