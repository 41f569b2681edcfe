"""The options that all scenario commands of the bench share, as one frozen value.

A command takes them by `@with_common` and gets them as `common`; its own options follow its function's other
arguments. `command.py` says how a new scenario command is written.
"""

from __future__ import annotations

import contextlib
import functools
import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import attrs
import click

from .arrange import Options
from .errors import BenchError
from .fleet import Tell
from .report import Result, read_results, slo
from .report.slo import Objective
from .server import Server, started

_Decorator = Callable[[Callable[..., None]], Callable[..., None]]
_OUTPUTS: Final = frozenset({"json_path", "html_path", "against", "fail_on_regression"})
"""Parameters that say where the result goes; left out of the command that a result is made again with."""


@attrs.frozen(kw_only=True)
class Target:
    """Which server is measured: the one at `url`, or a fresh one for every run."""

    url: str | None
    pid: int | None
    serve_args: str

    @contextlib.contextmanager
    def server(self, tell: Tell) -> Iterator[Server]:
        """The server that was asked for; one of our own is stopped at the end.

        Raises:
            BenchError: It does not come up.
        """
        if self.url is not None:
            yield Server(url=self.url, pid=self.pid)
            return
        tell("starting the server")
        with started(shlex.split(self.serve_args)) as server:
            yield server


@attrs.frozen(kw_only=True)
class Wanted:
    """What is to be made of results.

    Attributes:
        slo: The service level that the results must keep; empty when none was asked for.
        against: Earlier results to compare with; empty when none were given.
        fail_on_regression: Whether being worse than these is a failure.
        accept_invalid: Whether a run on a busy machine is taken as if it were valid.
        json_path: Where the results go as JSON; "-" for stdout, and no table then.
        html_path: Where the report with the plots goes.
    """

    slo: tuple[Objective, ...]
    against: tuple[Result, ...]
    fail_on_regression: bool
    accept_invalid: bool
    json_path: str | None
    html_path: Path | None


@attrs.frozen(kw_only=True)
class Common(Wanted):
    """What every scenario command was told.

    Attributes:
        repeat: How often each scenario is run.
        command: What to type to make the result again.
    """

    target: Target
    processes: int
    connect_parallel: int
    seed: int
    pin: bool
    repeat: int
    command: str

    def options(self, *, posters: int, sample: int) -> Options:
        """These options as those of a run; the arguments are what differs between scenarios."""
        return Options(
            posters=posters,
            processes=self.processes,
            sample=sample,
            parallel=self.connect_parallel,
            seed=self.seed,
            pin=self.pin,
        )


def _objectives(context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[Objective, ...]:
    try:
        return () if text is None else slo.parse(text)
    except slo.SloError as exc:
        raise click.BadParameter(str(exc)) from exc


def _earlier(context: click.Context, parameter: click.Parameter, path: Path | None) -> tuple[Result, ...]:
    try:
        return () if path is None else tuple(read_results(path.read_bytes()))
    except (OSError, BenchError) as exc:
        raise click.BadParameter(f"{path}: {exc}") from exc


def _address(context: click.Context, parameter: click.Parameter, url: str | None) -> str | None:
    """Refuse what the generators cannot connect to: they speak plain HTTP/1 to a host and a port."""
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        plain = parts.scheme == "http" and parts.hostname and parts.port != 0 and "@" not in parts.netloc
    except ValueError as exc:
        raise click.BadParameter(f"{url}: {exc}") from exc
    if not plain or parts.path.strip("/") or parts.query or parts.fragment:
        raise click.BadParameter(f"{url}: write it like http://127.0.0.1:8000, without TLS, user or path")
    return f"http://{parts.netloc}"


def _writable(context: click.Context, parameter: click.Parameter, path: Path | str | None) -> Path | str | None:
    """Refuse a file in a folder that is not there now, and not after the run."""
    if path is not None and not Path(path).absolute().parent.is_dir():
        raise click.BadParameter(f"{path}: there is no such folder")
    return path


_COMMON: Final = (
    click.option("--processes", type=click.IntRange(1, 64), default=1, show_default=True, help="Generator processes."),
    click.option(
        "--connect-parallel",
        type=click.IntRange(1, 4096),
        default=256,
        show_default=True,
        help="Handshakes at the same time, per generator.",
    ),
    click.option("--seed", type=int, default=1, show_default=True, help="Seed of what the posts say."),
    click.option("--pin", is_flag=True, help="Server on the first core, generators on the others."),
    click.option(
        "--url",
        callback=_address,
        help="Use this running server (http://HOST:PORT, guests allowed) and start none. The conversation stays on it.",
    ),
    click.option("--pid", type=click.IntRange(1), help="Process of the --url server, for its CPU and memory."),
    click.option("--serve-args", default="", help="Further arguments for `hubbub serve`, as one string."),
    click.option(
        "--repeat",
        type=click.IntRange(1, 100),
        default=1,
        show_default=True,
        help="Run each scenario so often, each time on a fresh server (unless --url): medians and spread.",
    ),
)
_WANTED: Final = (
    click.option(
        "--slo",
        callback=_objectives,
        metavar="CONDITIONS",
        help="Must hold, such as 'p99<50ms,lost=0': otherwise exit code 4. Not judged for an invalid run: 3.",
    ),
    click.option(
        "--against",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        callback=_earlier,
        metavar="FILE",
        help="Earlier results (--json) to compare with: what changed beyond noise.",
    ),
    click.option("--fail-on-regression", is_flag=True, help="With --against: exit code 5 when something is worse."),
    click.option(
        "--accept-invalid",
        is_flag=True,
        help="Judge also a run whose machine was busy or whose generator was at its limit; the reasons become notes.",
    ),
    click.option(
        "--html",
        "html_path",
        type=click.Path(dir_okay=False, writable=True, path_type=Path),
        callback=_writable,
        help="Also write a report with plots to this file; it opens offline.",
    ),
    click.option(
        "--json",
        "json_path",
        callback=_writable,
        help="Also write the result as JSON to this file; - for stdout, no table.",
    ),
)


def with_common(command: Callable[..., None]) -> Callable[..., None]:
    """Give a scenario command the shared options; they reach it as the one argument `common`."""

    @functools.wraps(command)
    def filled(**values: object) -> None:
        _must_have_against(values)
        target = Target(**_taken(Target, values))
        if target.url is None and target.pid is not None:
            raise click.UsageError("--pid is the process of a server that --url names")
        if target.url is not None and target.serve_args:
            raise click.UsageError("--serve-args are for a server that is started, --url names one that runs")
        typed_again = typed(click.get_current_context())
        command(common=Common(target=target, command=typed_again, **_taken(Common, values)), **values)

    return _with((*_COMMON, *_WANTED), filled)


def with_wanted(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command that runs nothing the options of what is to be made of results, as the argument `wanted`."""

    @functools.wraps(command)
    def filled(**values: object) -> None:
        _must_have_against(values)
        command(wanted=Wanted(**_taken(Wanted, values)), **values)

    return _with(_WANTED, filled)


def _with(options: Sequence[_Decorator], command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(options):
        command = option(command)
    return command


def _must_have_against(values: dict[str, object]) -> None:
    if values.get("fail_on_regression") and not values.get("against"):
        raise click.UsageError("--fail-on-regression needs --against: earlier results to be worse than")


def _taken(kind: type[attrs.AttrsInstance], values: dict[str, object]) -> dict[str, Any]:
    """The values of a class, taken out of what the command line gave; click has checked their types."""
    return {name: values.pop(name) for name in attrs.fields_dict(kind) if name in values}


def typed(context: click.Context) -> str:
    """What to type to run the same again: the options that were given, in the command's order, without the outputs."""
    words = context.command_path.split()
    for parameter in context.command.params:
        name = parameter.name or ""
        if name in _OUTPUTS or context.get_parameter_source(name) is not click.core.ParameterSource.COMMANDLINE:
            continue
        value = _written(context.params[name])
        flag = parameter.opts[0]
        if isinstance(value, bool):
            words.append(flag if value else parameter.secondary_opts[0])
        else:
            for each in value if isinstance(value, tuple) else (value,):
                words += [flag, str(each)]
    return shlex.join(words)


def _written(value: object) -> object:
    """A value as it was typed: a service level was read into its conditions, the others are still themselves."""
    if isinstance(value, tuple) and value and all(isinstance(each, Objective) for each in value):
        return ",".join(each.text for each in value)
    return value
