"""Stores: where a module keeps its events, outbox and inbox."""
