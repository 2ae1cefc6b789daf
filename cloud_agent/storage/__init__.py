"""The databases: column types, annotated tables, one writer thread, compaction."""

from cloud_agent.storage.database import Database
from cloud_agent.storage.writer import Writer

__all__ = ["Database", "Writer"]
