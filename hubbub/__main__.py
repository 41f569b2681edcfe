"""``python -m hubbub``: the command line."""

from .cli import main

main(prog_name="hubbub")
