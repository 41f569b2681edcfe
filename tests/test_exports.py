"""The public face: every name is there, and none costs more than it must."""

import subprocess
import sys

import hubbub


def test_every_public_name_can_be_had() -> None:
    """`from hubbub import X` works for each name of `__all__`, and no other name is made up."""
    assert sorted(hubbub.__all__) == sorted(set(hubbub.__all__))
    for name in hubbub.__all__:
        assert getattr(hubbub, name) is not None
    assert not hasattr(hubbub, "nothing_of_the_kind")
    assert set(hubbub.__all__) <= set(dir(hubbub))


def test_the_kernel_alone_loads_neither_driver_nor_server() -> None:
    """Importing `hubbub.actors` brings no chat engine, no database driver and no HTTP server with it."""
    program = (
        "import sys, hubbub.actors\n"
        "print([m for m in ('hubbub.engine', 'asyncpg', 'asyncio', 'hypercorn', 'quart') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
