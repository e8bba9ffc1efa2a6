"""The statements over one module's outbox."""

from __future__ import annotations

from modulus_es.stores.sqlite.names import Statements


class OutboxSQL(Statements):
    """The statements over one outbox."""

    insert = (
        "INSERT INTO $outbox (message_id, kind, type, version, route, source, key, headers, body, "
        "handler, created_at, available_at, scheduled) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    )
    any = (
        "SELECT EXISTS (SELECT 1 FROM $outbox INDEXED BY $outbox_pending "
        "WHERE scheduled <> 2 AND delivered_at IS NULL AND dead_at IS NULL) "
        "OR EXISTS (SELECT 1 FROM $outbox INDEXED BY $outbox_later "
        "WHERE scheduled = 2 AND delivered_at IS NULL AND dead_at IS NULL)"
    )
    # One step down an index for each route, however many rows wait for it; and when the first
    # of those is due whose time has not come.
    names = (
        "WITH RECURSIVE waiting (route) AS ("
        "SELECT min(route) FROM $outbox WHERE scheduled <> 2 AND delivered_at IS NULL "
        "AND dead_at IS NULL "
        "UNION ALL SELECT (SELECT min(route) FROM $outbox WHERE scheduled <> 2 "
        "AND delivered_at IS NULL AND dead_at IS NULL AND route > waiting.route) FROM waiting "
        "WHERE waiting.route IS NOT NULL), "
        "later (route) AS (SELECT min(route) FROM $outbox WHERE scheduled = 2 "
        "AND delivered_at IS NULL AND dead_at IS NULL "
        "UNION ALL SELECT (SELECT min(route) FROM $outbox WHERE scheduled = 2 "
        "AND delivered_at IS NULL AND dead_at IS NULL AND route > later.route) FROM later "
        "WHERE later.route IS NOT NULL) "
        "SELECT route, NULL FROM waiting WHERE route IS NOT NULL "
        "UNION ALL SELECT route, (SELECT min(available_at) FROM $outbox WHERE scheduled = 2 "
        "AND delivered_at IS NULL AND dead_at IS NULL AND route = later.route) "
        "FROM later WHERE route IS NOT NULL"
    )
    wake = (
        "UPDATE $outbox SET scheduled = 1 WHERE scheduled = 2 AND delivered_at IS NULL "
        "AND dead_at IS NULL AND route = ? AND available_at <= ?"
    )
    of_route = (
        "SELECT $outbox_columns FROM $outbox WHERE route = ? AND position > ? AND scheduled <> 2 "
        "AND delivered_at IS NULL AND dead_at IS NULL ORDER BY position LIMIT ?"
    )
    sleeping = (
        "SELECT $outbox_columns FROM $outbox INDEXED BY $outbox_later "
        "WHERE route = ? AND available_at <= ? AND position > ? AND scheduled = 2 "
        "AND delivered_at IS NULL AND dead_at IS NULL ORDER BY position LIMIT ?"
    )
    # Left to itself SQLite would rather read the whole table than sort a few rows.
    undelivered = (
        "SELECT $outbox_columns FROM $outbox INDEXED BY $outbox_pending "
        "WHERE scheduled <> 2 AND delivered_at IS NULL AND dead_at IS NULL "
        "UNION ALL SELECT $outbox_columns FROM $outbox INDEXED BY $outbox_later "
        "WHERE scheduled = 2 AND delivered_at IS NULL AND dead_at IS NULL ORDER BY position"
    )
    # Of the oldest of them SQLite answers the kind and type as well.
    pending = (
        "SELECT kind, type, min(position), count(*) FROM $outbox WHERE route = ? "
        "AND delivered_at IS NULL AND dead_at IS NULL AND claimed_by IS NULL"
    )
    waiting = (
        "SELECT (SELECT count(*) FROM $outbox INDEXED BY $outbox_pending "
        "WHERE scheduled <> 2 AND delivered_at IS NULL AND dead_at IS NULL) "
        "+ (SELECT count(*) FROM $outbox INDEXED BY $outbox_later "
        "WHERE scheduled = 2 AND delivered_at IS NULL AND dead_at IS NULL)"
    )
    all = (
        "SELECT $outbox_columns FROM $outbox "
        "WHERE position > ? AND kind <> 'purged' ORDER BY position LIMIT ?"
    )
    is_there = "SELECT 1 FROM $outbox WHERE position = ? AND message_id = ?"
    claim = "UPDATE $outbox SET claimed_by = ?, claimed_until = ? WHERE position BETWEEN ? AND ?"
    held = "SELECT count(*) FROM $outbox WHERE position BETWEEN ? AND ? AND claimed_by = ?"
    renew = "UPDATE $outbox SET claimed_until = ? WHERE position BETWEEN ? AND ? AND claimed_by = ?"
    deliver = (
        "UPDATE $outbox SET attempts = attempts + 1, delivered_at = ?, claimed_by = NULL, "
        "claimed_until = NULL WHERE position BETWEEN ? AND ? AND claimed_by = ?"
    )
    release = (
        "UPDATE $outbox SET claimed_by = NULL, claimed_until = NULL "
        "WHERE position BETWEEN ? AND ? AND claimed_by = ?"
    )
    retry = (
        "UPDATE $outbox SET attempts = attempts + ?, last_error = ?, available_at = ?, "
        "claimed_by = NULL, claimed_until = NULL WHERE position BETWEEN ? AND ? AND claimed_by = ?"
    )
    bury = (
        "UPDATE $outbox SET attempts = attempts + 1, last_error = ?, dead_at = ?, "
        "claimed_by = NULL, claimed_until = NULL WHERE position BETWEEN ? AND ? AND claimed_by = ?"
    )
    bury_altered = (
        "UPDATE $outbox SET last_error = ?, dead_at = ?, claimed_by = NULL, claimed_until = NULL "
        "WHERE position = ?"
    )
    revive = (
        "UPDATE $outbox SET dead_at = NULL, attempts = 0, available_at = ?, message_id = ?, "
        "kind = ?, type = ?, version = ?, route = ?, key = ?, headers = ?, body = ? "
        "WHERE position = ? AND dead_at IS NOT NULL"
    )
    purge = (
        "DELETE FROM $outbox WHERE position IN (SELECT position FROM $outbox "
        "WHERE delivered_at < ? AND kind <> 'purged' "
        "AND position < (SELECT max(position) FROM $outbox) ORDER BY position LIMIT ?)"
    )
    # What is left of the last row is its position, so that it is not used again.
    purge_last = (
        "UPDATE $outbox SET kind = 'purged', message_id = '', key = '', headers = x'', body = x'', "
        "last_error = NULL WHERE position = (SELECT max(position) FROM $outbox) "
        "AND delivered_at < ? AND kind <> 'purged'"
    )
    forget_places = (
        "DELETE FROM $outbox WHERE kind = 'purged' "
        "AND position < (SELECT max(position) FROM $outbox)"
    )
