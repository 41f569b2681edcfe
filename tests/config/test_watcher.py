"""The watcher: on a real directory, with every way in which a file comes to be another one."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio

from hubbub.config import watcher
from hubbub.config.inotify import DirectoryWatch
from hubbub.config.watcher import directories_of, watch_files

PATIENCE_S = 20.0


@attrs.define
class Seen:
    """What was noticed."""

    _send: trio.MemorySendChannel[str]
    _receive: trio.MemoryReceiveChannel[str]

    async def next(self) -> str:
        """The content at the next change that is noticed."""
        with trio.fail_after(PATIENCE_S):
            return await self._receive.receive()

    async def until(self, content: str) -> None:
        """Wait until this content was noticed."""
        with trio.fail_after(PATIENCE_S):
            while await self._receive.receive() != content:
                pass

    @property
    def nothing(self) -> bool:
        """Nothing has been noticed that was not asked for."""
        return self._receive.statistics().current_buffer_used == 0


@asynccontextmanager
async def watching(file: Path, *others: Path) -> AsyncIterator[Seen]:
    """Watch a file."""
    send, receive = trio.open_memory_channel[str](1000)

    async def changed() -> None:
        try:
            send.send_nowait(await trio.Path(file).read_text())
        except FileNotFoundError:
            send.send_nowait("(gone)")

    async with trio.open_nursery() as nursery:
        await nursery.start(watch_files, lambda: (file, *others), changed)
        yield Seen(send, receive)
        nursery.cancel_scope.cancel()


def descriptors() -> int:
    """How many files this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def in_place(file: Path, content: str) -> None:
    """As `>` in a shell does."""
    file.write_text(content)


def by_rename(file: Path, content: str) -> None:
    """As most editors and tools do: another file takes its place."""
    scratch = file.with_name(".scratch~")
    scratch.write_text(content)
    scratch.replace(file)


def by_vim(file: Path, content: str) -> None:
    """As vim does: the old one is put aside, a new one is made, the old one is deleted."""
    aside = file.with_name(file.name + "~")
    file.replace(aside)
    file.write_text(content)
    aside.unlink()


def by_deletion(file: Path, content: str) -> None:
    """Deleted, and made again."""
    file.unlink()
    file.write_text(content)


@pytest.mark.parametrize("save", [in_place, by_rename, by_vim, by_deletion])
async def test_a_watcher_on_the_file_itself_misses_rename_style_saves(
    save: Callable[[Path, str], None], tmp_path: Path
) -> None:
    """This one notices every way of saving, and again, and again."""
    file = tmp_path / "hubbub.toml"
    file.write_text("0")
    async with watching(file) as seen:
        for content in ("1", "2", "3"):
            save(file, content)
            await seen.until(content)


async def test_a_swapped_link_to_a_directory_is_noticed(tmp_path: Path) -> None:
    """As Kubernetes replaces a ConfigMap: the file is a link into ..data, and that link is swapped."""
    for number in range(4):
        version = tmp_path / f"..2026_{number}"
        version.mkdir()
        (version / "hubbub.toml").write_text(str(number))
    (tmp_path / "..data").symlink_to("..2026_0")
    file = tmp_path / "hubbub.toml"
    file.symlink_to("..data/hubbub.toml")
    async with watching(file) as seen:
        for number in range(1, 4):
            (tmp_path / "..data_tmp").symlink_to(f"..2026_{number}")
            (tmp_path / "..data_tmp").rename(tmp_path / "..data")
            shutil.rmtree(tmp_path / f"..2026_{number - 1}")
            await seen.until(str(number))


async def test_a_link_into_another_directory_is_followed(tmp_path: Path) -> None:
    """What happens behind the link counts, and so does another link in its place, also above the file."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "real.toml").write_text(name)
    (tmp_path / "etc").mkdir()
    (tmp_path / "current").symlink_to("one")
    file = tmp_path / "etc" / "hubbub.toml"
    file.symlink_to("../current/real.toml")
    async with watching(file) as seen:
        by_rename(tmp_path / "one" / "real.toml", "changed")
        await seen.until("changed")
        (tmp_path / "next").symlink_to("two")
        (tmp_path / "next").rename(tmp_path / "current")
        await seen.until("two")
        by_rename(tmp_path / "two" / "real.toml", "again")
        await seen.until("again")


async def test_a_file_that_comes_later_is_noticed(tmp_path: Path) -> None:
    """Also when its directory comes later; and when it goes."""
    file = tmp_path / "not" / "yet" / "hubbub.toml"
    async with watching(file) as seen:
        file.parent.mkdir(parents=True)
        file.write_text("there")
        await seen.until("there")
        shutil.rmtree(tmp_path / "not")
        await seen.until("(gone)")


async def test_only_another_content_counts(tmp_path: Path) -> None:
    """Saving the same, touching, other files in the directory: nothing is called."""
    file, other = tmp_path / "hubbub.toml", tmp_path / "other"
    file.write_text("0")
    async with watching(file) as seen:
        by_rename(file, "0")
        os.utime(file)
        other.write_text("x")
        file.write_text("1")
        assert await seen.next() == "1"
        assert seen.nothing


async def test_every_watched_file_counts(tmp_path: Path) -> None:
    """The configuration's own, and those of secrets elsewhere."""
    file, secret = tmp_path / "hubbub.toml", tmp_path / "secrets" / "key"
    secret.parent.mkdir()
    file.write_text("same")
    secret.write_text("one")
    async with watching(file, secret) as seen:
        by_rename(secret, "two")
        assert await seen.next() == "same"


async def test_a_burst_of_saves_is_few_readings(tmp_path: Path) -> None:
    """A hundred saves without a pause end with the last, and are not read a hundred times."""
    file = tmp_path / "hubbub.toml"
    file.write_text("0")
    async with watching(file) as seen:
        for number in range(1, 101):
            by_rename(file, str(number))
        found = [await seen.next()]
        while found[-1] != "100":
            found.append(await seen.next())
        assert len(found) <= 20


async def test_without_inotify_the_server_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Changes are noticed at SIGHUP then, and the log says so."""

    def none() -> DirectoryWatch:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(watcher, "DirectoryWatch", none)
    async with trio.open_nursery() as nursery:
        await nursery.start(watch_files, lambda: (tmp_path / "x",), trio.lowlevel.checkpoint)
    assert "SIGHUP only" in caplog.text


async def test_nothing_is_left_open(tmp_path: Path) -> None:
    """Cancelled, a watch gives its descriptor back."""
    before = descriptors()
    for _ in range(5):
        async with watching(tmp_path / "x"):
            pass
    assert descriptors() == before


async def test_a_link_that_goes_while_it_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between being seen and being read: the watch goes on, and sees what takes its place."""
    file, other = tmp_path / "a", tmp_path / "b"
    other.write_text("one")
    file.symlink_to(other)
    followed = Path.readlink

    def gone(self: Path) -> Path:
        monkeypatch.setattr(Path, "readlink", followed)
        raise FileNotFoundError

    monkeypatch.setattr(Path, "readlink", gone)
    async with watching(file) as seen:
        file.unlink()
        file.write_text("two")
        await seen.until("two")


def test_links_in_a_circle_have_no_end(tmp_path: Path) -> None:
    """They are followed so often, and no more."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert directories_of([tmp_path / "a"]) == {tmp_path}
