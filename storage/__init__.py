"""Durable stores: the writer, Postgres, memory, and the embedded Postgres."""

from .memory import MemoryStore
from .ports import SchemaRefused, StoreInUse
from .postgres import PostgresStore
from .store import WriterStore
from .writer import WriterStatistics

__all__ = ["MemoryStore", "PostgresStore", "SchemaRefused", "StoreInUse", "WriterStatistics", "WriterStore"]
