"""What an embedder needs to test its own store, authenticator and handlers against the engine's promises.

An engine for a test (`open_test_engine`), a server on a free port (`open_test_server`), a store that fails on demand
(`FaultyStore`), a subscriber that follows a script (`ScriptedSubscriber`), people who post and read (`Poster`, `Reader`), and
the invariant checks over all that happened (`Audit`). `rows` makes what a store is handed.

The contract of stores is `hubbub.testing.store_contract`. It is the only part that needs pytest and pytest-trio, and it is not
imported here. `docs/testing.md` shows everything at work.
"""

from . import rows
from .audit import Audit, Kind, Verdict, Violation
from .engine import engine_settings, open_test_engine, wait_until
from .faulty import POISON, Fault, FaultyBackend, FaultyStore
from .server import open_test_server
from .subscriber import OFFSETS, OffsetFormat, ScriptedOutlet, ScriptedSubscriber
from .workload import Poster, Reader, name_of, note_log

__all__ = [
    "OFFSETS",
    "POISON",
    "Audit",
    "Fault",
    "FaultyBackend",
    "FaultyStore",
    "Kind",
    "OffsetFormat",
    "Poster",
    "Reader",
    "ScriptedOutlet",
    "ScriptedSubscriber",
    "Verdict",
    "Violation",
    "engine_settings",
    "name_of",
    "note_log",
    "open_test_engine",
    "open_test_server",
    "rows",
    "wait_until",
]
