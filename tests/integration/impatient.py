"""`hubbub` with another stall time, so that a test need not wait for the default: `python impatient.py STALL_S serve ...`."""

import functools
import sys

from hubbub import cli
from hubbub.transport.serve import ServeSettings
from hubbub.transport.table import TableSettings

if __name__ == "__main__":
    table = TableSettings(stall_s=float(sys.argv.pop(1)))
    cli.ServeSettings = functools.partial(ServeSettings, table=table)
    cli.main()
