"""Tests of storage/dump.py: a database into a file and back; no password in sight; nothing half-made."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import trio

from hubbub.storage import PostgresStore
from hubbub.storage.dump import DumpFailed, connection, dump, find_programs, load
from hubbub.testing.rows import record

from .postgres_server import BINARIES, PostgresServer


def names(folder: Path) -> list[str]:
    """What is in a folder."""
    return [path.name for path in folder.iterdir()]


@pytest.mark.parametrize(
    ("where", "bare", "variables"),
    [
        ("postgresql://u@h:5/db?host=/run/x", "postgresql://u@h:5/db?host=%2Frun%2Fx", {}),
        ("postgres://u:s%40x@h/db", "postgresql://u@h/db", {"PGPASSWORD": "s@x"}),
        ("postgresql://h/db?user=u&password=p%26q", "postgresql://h/db?user=u", {"PGPASSWORD": "p&q"}),
        ("postgresql://[::1]:5/db", "postgresql://[::1]:5/db", {}),
        (
            {"host": "/it's", "port": 5432, "user": "u", "database": "db"},
            r"host='/it\'s' port='5432' user='u' dbname='db'",
            {},
        ),
    ],
)
def test_a_password_goes_by_the_environment(where: str, bare: str, variables: dict[str, str]) -> None:
    """Other users can read a command line, not the variables of a program."""
    assert connection(where) == (bare, variables)


@pytest.mark.postgres
async def test_there_and_back(postgres: PostgresServer, database: str, tmp_path: Path) -> None:
    """What was dumped under a working store is what another database has after loading."""
    file = tmp_path / "one.dump"
    said: list[str] = []
    bin_dir = await find_programs(None)
    async with PostgresStore.open(postgres.url(database)) as store:
        await store.create(record())
        size_bytes = await dump(postgres.url(database), bin_dir, file, said.append)
    assert size_bytes == file.stat().st_size
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert any("dumping contents of table" in line for line in said)
    other = postgres.new_database()
    await load(postgres.url(other), BINARIES, file, said.append)
    async with PostgresStore.open(postgres.url(other)) as store:
        assert await store.load(record().id) == record()
    assert names(tmp_path) == [file.name]


@pytest.mark.postgres
async def test_a_file_is_never_replaced(postgres: PostgresServer, database: str, tmp_path: Path) -> None:
    """Not even by a good dump."""
    file = tmp_path / "kept"
    file.write_text("precious")
    with pytest.raises(FileExistsError):
        await dump(postgres.url(database), BINARIES, file, print)
    assert file.read_text() == "precious"


@pytest.mark.postgres
async def test_a_failure_leaves_nothing_and_is_told(postgres: PostgresServer, database: str, tmp_path: Path) -> None:
    """The program's own words; no file; a database as it was, after a file that is cut short."""
    with pytest.raises(DumpFailed, match=r"pg_dump failed with exit status 1\n  \| .*no_such"):
        await dump(postgres.url("no_such"), BINARIES, tmp_path / "none", lambda line: None)
    assert names(tmp_path) == []
    async with PostgresStore.open(postgres.url(database)) as store:
        await store.create(record())
    file = tmp_path / "cut"
    await dump(postgres.url(database), BINARIES, file, lambda line: None)
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) * 3 // 4])
    other = postgres.new_database()
    with pytest.raises(DumpFailed, match="pg_restore failed"):
        await load(postgres.url(other), BINARIES, file, lambda line: None)
    assert postgres.sql(other, "select count(*) from pg_tables where schemaname = 'public'") == "0"


@pytest.mark.postgres
async def test_cancelling_ends_the_program_and_removes_the_file(
    postgres: PostgresServer, database: str, tmp_path: Path
) -> None:
    """Nothing is left where the file would have been."""
    with trio.CancelScope() as scope:

        def at_first(line: str) -> None:
            scope.cancel()

        async with PostgresStore.open(postgres.url(database)):
            pass
        await dump(postgres.url(database), BINARIES, tmp_path / "never", at_first)
    assert scope.cancelled_caught
    assert names(tmp_path) == []
