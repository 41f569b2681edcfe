"""Durable stores: the writer, Postgres, memory, and the embedded Postgres.

Who wants to keep rows elsewhere writes a `Backend` and puts a `WriterStore` over it: the names below from `Backend` to
`members_after` are what that takes; `MemoryAccounts`, `MemoryInvites`, `MemoryAudit` and `MemoryLimits` will do where what they
hold need not last. `hubbub.testing.store_contract` tests the result, `docs/testing.md` shows one over SQLite.
"""

from ..engine.core.batch import Committed, Rejected, Repeat, Result, Row
from ..engine.core.members import after as members_after
from .accounts.memory import MemoryAccounts
from .audit import MemoryAudit
from .blocks import MemoryBlocks
from .body import decode_actor, decode_event, decode_members, encode_actor, encode_body, encode_members
from .invites import MemoryInvites
from .limits import MemoryLimits
from .memory import MemoryBackend, MemoryStore
from .ports import Backend, RowsRefused, SchemaRefused, StoreInUse
from .postgres import PostgresStore
from .store import WriterStore
from .writer import WriterStatistics

__all__ = [
    "Backend",
    "Committed",
    "MemoryAccounts",
    "MemoryAudit",
    "MemoryBackend",
    "MemoryBlocks",
    "MemoryInvites",
    "MemoryLimits",
    "MemoryStore",
    "PostgresStore",
    "Rejected",
    "Repeat",
    "Result",
    "Row",
    "RowsRefused",
    "SchemaRefused",
    "StoreInUse",
    "WriterStatistics",
    "WriterStore",
    "decode_actor",
    "decode_event",
    "decode_members",
    "encode_actor",
    "encode_body",
    "encode_members",
    "members_after",
]
