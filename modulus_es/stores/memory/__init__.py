"""The store in memory: ``memory://``, gone with the process."""

from modulus_es.stores.memory.recorder import MemoryFactory, MemoryRecorder
from modulus_es.stores.memory.store import MemoryDatabase, MemoryStore

__all__ = ["MemoryDatabase", "MemoryFactory", "MemoryRecorder", "MemoryStore"]
