"""The options that all scenario commands share."""

import click
import pytest
from click.testing import CliRunner

from hubbub.bench.options import Common, with_common


def invoke(*arguments: str) -> Common:
    found: list[Common] = []

    @click.command("probe")
    @click.option("--rooms", type=int, default=3)
    @click.option("--deep/--flat", default=False)
    @with_common
    def probe(*, rooms: int, deep: bool, common: Common) -> None:
        found.append(common)

    done = CliRunner().invoke(probe, arguments, prog_name="hubbub bench probe")
    assert done.exit_code == 0, done.output
    return found[0]


def test_shared_values_come_as_one() -> None:
    """Defaults and what was given, in the types that the command line promised."""
    common = invoke("--processes", "2", "--url", "http://localhost:1/", "--repeat", "3", "--json", "-")
    assert (common.processes, common.connect_parallel, common.seed, common.pin) == (2, 256, 1, False)
    assert (common.repeat, common.json_path) == (3, "-")
    options = common.options(posters=7, sample=9)
    assert (options.posters, options.sample, options.processes) == (7, 9, 2)


def test_a_given_server_is_used_and_none_is_started() -> None:
    """The address loses its slash; the process is the one that was named."""
    with invoke("--url", "http://localhost:1/", "--pid", "5").target.server(lambda text: None) as server:
        assert (server.url, server.pid) == ("http://localhost:1", 5)


def test_the_command_is_what_was_typed_without_the_outputs() -> None:
    """It is quoted for a shell, and leaves out defaults and where the result went."""
    common = invoke("--pin", "--deep", "--rooms", "5", "--serve-args", "--port 9", "--json", "x.json")
    assert common.command == "hubbub bench probe --rooms 5 --deep --pin --serve-args '--port 9'"


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("http://localhost", "http://localhost"),
    ],
)
def test_an_address_is_a_host_and_a_port(given: str, used: str) -> None:
    """A slash at the end means nothing."""
    assert invoke("--url", given).target.url == used


@pytest.mark.parametrize(
    "words",
    [
        ("--url", "https://127.0.0.1:8000"),
        ("--url", "localhost:8000"),
        ("--url", "http://127.0.0.1:99999"),
        ("--url", "http://127.0.0.1:8000/chat"),
        ("--url", "http://u:p@127.0.0.1:8000"),
        ("--url", "http://"),
        ("--pid", "1"),
        ("--url", "http://127.0.0.1:8000", "--serve-args", "--guests"),
    ],
)
def test_what_cannot_be_used_is_wrong_usage(words: tuple[str, ...]) -> None:
    """It is refused before anything runs, and not silently passed over."""
    with pytest.raises(AssertionError, match=r"Usage: hubbub bench probe"):
        invoke(*words)
