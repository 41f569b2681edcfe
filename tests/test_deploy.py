"""Tests of docs/deploy: the systemd unit is one that systemd takes and that keeps to itself; both files name real settings."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from hubbub.cli import cli
from hubbub.config.tree import schema
from hubbub.transport.serve import ServeSettings

DEPLOY = Path(__file__).parents[1] / "docs" / "deploy"
UNIT = DEPLOY / "hubbub.service"
CONTAINERFILE = DEPLOY / "Containerfile"
EXPOSURE = 15
"""Tenths: systemd's own judgement of how much a service could reach, from 0 to 100; it calls 15 "OK"."""


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit, with a program that is there in place of the one of its comments."""
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/hubbub/bin/hubbub", sys.executable))
    return copy


def analyze(*arguments: str) -> str:
    """What systemd-analyze says; it must be content."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed")
    done = subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_systemd_takes_the_unit(unit: Path) -> None:
    """Without a word about unknown or contradictory settings."""
    assert analyze("verify", str(unit)) == ""


def test_the_service_can_reach_little(unit: Path) -> None:
    """By systemd's own judgement."""
    analyze("security", "--offline=true", f"--threshold={EXPOSURE}", str(unit))


def test_commands_and_settings_of_the_files_exist() -> None:
    """Every `hubbub` word is a command with such flags, and every variable a setting."""
    texts = UNIT.read_text() + CONTAINERFILE.read_text()
    for name, flags in re.findall(r"bin/hubbub (\w+)([^\n]*)", texts):
        assert name in cli.list_commands(click.Context(cli))
        known = {option for each in _commands(name) for parameter in each.params for option in parameter.opts}
        assert set(re.findall(r"--[\w-]+", flags)) <= known, name
    settings = {".".join(path) for path in schema().leaves}
    for variable in re.findall(r"HUBBUB_(\w+__\w+)=", texts):
        assert variable.lower().replace("__", ".") in settings


def _commands(name: str) -> list[click.Command]:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    return [command, *getattr(command, "commands", {}).values()]


def test_a_drain_has_its_time() -> None:
    """The service manager waits longer than a drain and the shutdown of Postgres may take."""
    found = re.search(r"^TimeoutStopSec=(\d+)$", UNIT.read_text(), re.MULTILINE)
    assert found is not None
    assert int(found[1]) >= 2 * ServeSettings().drain_s
