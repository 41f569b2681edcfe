"""Reading /proc."""

import os
import subprocess
import sys

import pytest

from hubbub.bench import procfs


def test_a_name_with_spaces_and_parentheses_is_read() -> None:
    """The fields after the name are found by its last parenthesis."""
    numbers = " ".join(str(n) for n in range(4, 53))
    stat = procfs.parse_stat(f"42 (tmux: (server) x) S 1 {numbers}")
    assert (stat.pid, stat.name, stat.parent) == (42, "tmux: (server) x", 1)


def test_cpu_of_this_process_grows_with_its_work() -> None:
    """A second reading after some work is greater by about that work."""
    before = procfs.read_cpu(os.getpid())
    started = os.times()
    while sum(os.times()[:2]) - sum(started[:2]) < 0.1:
        sum(range(10_000))
    used = procfs.read_cpu(os.getpid()).since(before)
    assert 0.05 < used.server_s < 1
    assert used.postgres_s == 0


def test_the_machine_is_busy_when_this_process_is() -> None:
    """What this process burns shows in the whole machine's busy time."""
    before = procfs.read_machine_busy_s()
    started = os.times()
    while sum(os.times()[:2]) - sum(started[:2]) < 0.1:
        sum(range(10_000))
    assert procfs.read_machine_busy_s() - before > 0.05


def test_a_postgres_below_the_server_is_counted_apart(tmp_path) -> None:
    """A child named postgres does not add to the server's own time."""
    fake = tmp_path / "postgres"
    fake.symlink_to(sys.executable)
    work = "import sys; sum(range(5_000_000)); print('done', flush=True); sys.stdin.read()"
    with subprocess.Popen([str(fake), "-c", work], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        cpu = procfs.read_cpu(os.getpid())
        assert cpu.postgres_s > 0
        assert child.stdin is not None
        child.stdin.close()


def test_a_postgres_that_is_no_descendant_is_found_by_its_pid_file(tmp_path) -> None:
    """The data directory names a postmaster that was started detached; a number that is something else's is not one."""
    (tmp_path / "pg").mkdir()
    pid_file = tmp_path / "pg" / "postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n/data\n")
    assert procfs.detached_postgres(tmp_path) == set()
    fake = tmp_path / "postgres"
    fake.symlink_to(sys.executable)
    work = "import sys; print('up', flush=True); sys.stdin.read()"
    with subprocess.Popen([str(fake), "-c", work], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdout.readline()
        pid_file.write_text(f"{child.pid}\n/data\n")
        assert procfs.detached_postgres(tmp_path) == {child.pid}
        child.stdin.close()


def test_memory_of_this_process_is_known() -> None:
    """The resident size is at least some mebibytes."""
    assert procfs.read_memory(os.getpid()).rss_bytes > 4 * 1024 * 1024


def test_a_missing_process_is_an_error() -> None:
    """No process, no figures."""
    with pytest.raises(ProcessLookupError):
        procfs.read_cpu(2**22 + 1)
