"""What it takes to run each kind of peer here: a command line, or why there is none. A missing tool is never an error.

C is compiled on the spot into the folder of the run. The npm packages go into `node/node_modules` beside their pinned
`package.json`, once, by `npm ci`: that is the only thing here that asks the network.
"""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

import attrs
import msgspec

_HERE: Final = Path(__file__).resolve().parent
_NODE: Final = _HERE / "node"
_COMPILERS: Final = ("cc", "gcc", "clang")
_COMPILE_S: Final = 60.0
_INSTALL_S: Final = 180.0
_VERSION_S: Final = 10.0


class Unavailable(Exception):
    """This peer cannot run here; the message says why."""


@attrs.frozen
class Program:
    """A server program that can be started, and what it is made of."""

    command: Sequence[str]
    versions: str


def _run(command: Sequence[str], folder: Path, timeout_s: float) -> str:
    """Output of a tool that has to succeed."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise Unavailable(f"{command[0]} failed: {exc}") from exc
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise Unavailable(f"{' '.join(command[:2])} failed: {said[-1] if said else done.returncode}")
    return done.stdout


def _tool(*names: str) -> str:
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        raise Unavailable(f"no {names[0]} on PATH")
    return found


class Recipe(Protocol):
    """How to get at a program."""

    def prepare(self, folder: Path) -> Program:
        """The program, using the folder for what is made; takes seconds, with a download up to minutes.

        Raises:
            Unavailable: It cannot run here.
        """


@attrs.frozen
class PythonServer:
    """A program for this interpreter; `packages` are the distributions that it needs."""

    script: str
    packages: Sequence[str]

    def prepare(self, folder: Path) -> Program:
        """See `Recipe`."""
        versions = [f"Python {'.'.join(map(str, sys.version_info[:3]))}"]
        for package in self.packages:
            try:
                versions.append(f"{package} {importlib.metadata.version(package)}")
            except importlib.metadata.PackageNotFoundError:
                raise Unavailable(f"no {package} here: make peers, or python -m pip install 'hubbub[peers]'") from None
        return Program((sys.executable, str(_HERE / "servers" / self.script)), ", ".join(versions))


@attrs.frozen
class CServer:
    """One C file, compiled with -O2."""

    source: str

    def prepare(self, folder: Path) -> Program:
        """See `Recipe`."""
        compiler = _tool(*_COMPILERS)
        program = folder / Path(self.source).stem
        warnings = ("-Wall", "-Wextra", "-Werror")
        _run((compiler, "-O2", *warnings, "-o", str(program), str(_HERE / self.source)), folder, _COMPILE_S)
        version = _run((compiler, "--version"), folder, _VERSION_S).splitlines()[0]
        return Program((str(program),), f"{version}, -O2")


@attrs.frozen
class NodeServer:
    """A program for Node.js; `package` is what it is about."""

    script: str
    package: str

    @property
    def _about(self) -> Path:
        return _NODE / "node_modules" / self.package / "package.json"

    def installed(self) -> bool:
        """Whether the npm package is there."""
        return self._about.exists()

    def prepare(self, folder: Path) -> Program:
        """See `Recipe`."""
        node = _tool("node")
        if not self.installed():
            _run((_tool("npm"), "ci", "--no-audit", "--no-fund", "--silent"), _NODE, _INSTALL_S)
        version = msgspec.json.decode(self._about.read_bytes(), type=dict[str, object])["version"]
        runtime = _run((node, "--version"), _NODE, _VERSION_S).strip()
        return Program((node, str(_NODE / self.script)), f"Node.js {runtime}, {self.package} {version}")


@attrs.frozen
class NotPackaged:
    """A peer that no package registry has."""

    why: str

    def prepare(self, folder: Path) -> Program:
        """See `Recipe`."""
        raise Unavailable(self.why)
