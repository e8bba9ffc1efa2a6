"""The statements over one module's inbox."""

from __future__ import annotations

from modulus_es.stores.sqlite.names import Statements


class InboxSQL(Statements):
    """The statements over one inbox."""

    # Parameters are said again where they are needed again: Python looks each name up for each
    # row, and takes SQLite's own ``?1`` for a name since 3.12. What is there already fails: a
    # SELECT that leaves it out is kept in a table of its own first, and ON CONFLICT would use up
    # a position.
    insert = (
        "INSERT INTO $inbox (source, message_id, handler, kind, type, version, key, sent_position, "
        "headers, body, received_at, available_at, ordered, ready, out_of_order) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
        "? = 0 OR NOT EXISTS (SELECT 1 FROM $inbox WHERE handler = ? AND key = ? "
        "AND ordered = 1 AND processed_at IS NULL AND dead_at IS NULL), "
        "? > 0 AND ? < coalesce((SELECT max(sent_position) FROM $inbox "
        "WHERE source = ? AND handler = ? AND key = ?), 0))"
    )
    repeated = (
        "UPDATE $inbox SET duplicates = duplicates + 1 "
        "WHERE source = ? AND message_id = ? AND handler = ?"
    )
    insert_dead = (
        "INSERT INTO $inbox (source, message_id, handler, kind, type, version, key, "
        "sent_position, headers, body, received_at, available_at, ordered, ready, last_error, "
        "dead_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, 0, ?, ?)"
    )
    any = (
        "SELECT EXISTS (SELECT 1 FROM $inbox INDEXED BY $inbox_ready "
        "WHERE ready = 1 AND processed_at IS NULL AND dead_at IS NULL) "
        "OR EXISTS (SELECT 1 FROM $inbox INDEXED BY $inbox_later "
        "WHERE ready = 2 AND processed_at IS NULL AND dead_at IS NULL)"
    )
    # One step down an index for each handler, however many rows wait for it; and when the first
    # of those is due that wait for their next attempt.
    names = (
        "WITH RECURSIVE waiting (handler) AS (SELECT min(handler) FROM $inbox "
        "WHERE ready = 1 AND processed_at IS NULL AND dead_at IS NULL "
        "UNION ALL SELECT (SELECT min(handler) FROM $inbox WHERE ready = 1 "
        "AND processed_at IS NULL AND dead_at IS NULL AND handler > waiting.handler) "
        "FROM waiting WHERE waiting.handler IS NOT NULL), "
        "later (handler) AS (SELECT min(handler) FROM $inbox "
        "WHERE ready = 2 AND processed_at IS NULL AND dead_at IS NULL "
        "UNION ALL SELECT (SELECT min(handler) FROM $inbox WHERE ready = 2 "
        "AND processed_at IS NULL AND dead_at IS NULL AND handler > later.handler) "
        "FROM later WHERE later.handler IS NOT NULL) "
        "SELECT handler, NULL FROM waiting WHERE handler IS NOT NULL "
        "UNION ALL SELECT handler, (SELECT min(available_at) FROM $inbox WHERE ready = 2 "
        "AND processed_at IS NULL AND dead_at IS NULL AND handler = later.handler) "
        "FROM later WHERE handler IS NOT NULL"
    )
    wake = (
        "UPDATE $inbox SET ready = 1 WHERE ready = 2 AND processed_at IS NULL "
        "AND dead_at IS NULL AND handler = ? AND available_at <= ?"
    )
    of_handler = (
        "SELECT $inbox_columns FROM $inbox WHERE handler = ? AND position > ? AND ready = 1 "
        "AND processed_at IS NULL AND dead_at IS NULL ORDER BY position LIMIT ?"
    )
    # Left to itself SQLite would rather read the whole table than sort a few rows.
    unprocessed = (
        "SELECT $inbox_columns FROM $inbox INDEXED BY $inbox_lane "
        "WHERE processed_at IS NULL AND dead_at IS NULL ORDER BY position"
    )
    kinds = (
        "SELECT handler, kind, type, count(*) FROM $inbox INDEXED BY $inbox_lane "
        "WHERE processed_at IS NULL AND dead_at IS NULL "
        "GROUP BY handler, kind, type ORDER BY min(position)"
    )
    waiting = (
        "SELECT count(*) FROM $inbox INDEXED BY $inbox_lane "
        "WHERE processed_at IS NULL AND dead_at IS NULL"
    )
    all = "SELECT $inbox_columns FROM $inbox WHERE position > ? ORDER BY position LIMIT ?"
    processed = "SELECT processed_by, processed_at FROM $inbox WHERE position = ?"
    claim = "UPDATE $inbox SET claimed_by = ?, claimed_until = ? WHERE position BETWEEN ? AND ?"
    held = (
        "SELECT count(*) FROM $inbox WHERE position BETWEEN ? AND ? AND claimed_by = ? "
        "AND processed_at IS NULL AND dead_at IS NULL"
    )
    mark = (
        "UPDATE $inbox SET attempts = attempts + 1, outcome = ?, processed_at = ?, "
        "processed_by = claimed_by, claimed_by = NULL, claimed_until = NULL "
        "WHERE position BETWEEN ? AND ? AND claimed_by = ? AND processed_at IS NULL "
        "AND dead_at IS NULL"
    )
    release = (
        "UPDATE $inbox SET claimed_by = NULL, claimed_until = NULL "
        "WHERE position BETWEEN ? AND ? AND claimed_by = ? AND processed_at IS NULL "
        "AND dead_at IS NULL"
    )
    retry = (
        "UPDATE $inbox SET attempts = attempts + 1, last_error = ?, available_at = ?, "
        "ready = 2 * (ready <> 0), claimed_by = NULL, claimed_until = NULL "
        "WHERE position BETWEEN ? AND ? AND claimed_by = ? AND processed_at IS NULL "
        "AND dead_at IS NULL"
    )
    bury = (
        "UPDATE $inbox SET attempts = attempts + 1, last_error = ?, dead_at = ?, "
        "claimed_by = NULL, claimed_until = NULL "
        "WHERE position BETWEEN ? AND ? AND claimed_by = ? AND processed_at IS NULL "
        "AND dead_at IS NULL"
    )
    bury_altered = (
        "UPDATE $inbox SET last_error = ?, dead_at = ?, claimed_by = NULL, claimed_until = NULL "
        "WHERE position = ?"
    )
    promote = (
        "UPDATE $inbox SET ready = 1 WHERE position = (SELECT min(position) FROM $inbox "
        "WHERE handler = ? AND key = ? AND ordered = 1 AND processed_at IS NULL "
        "AND dead_at IS NULL) AND ready = 0"
    )
    demote = (
        "UPDATE $inbox SET ready = 0 WHERE handler = ? AND key = ? AND ordered = 1 "
        "AND processed_at IS NULL AND dead_at IS NULL AND ready <> 0 AND position > "
        "(SELECT min(position) FROM $inbox WHERE handler = ? AND key = ? AND ordered = 1 "
        "AND processed_at IS NULL AND dead_at IS NULL)"
    )
    revive = (
        "UPDATE $inbox SET dead_at = NULL, attempts = 0, available_at = ?, kind = ?, type = ?, "
        "version = ?, headers = ?, body = ?, ready = NOT ordered "
        "WHERE position = ? AND dead_at IS NOT NULL"
    )
    # What a file that was altered may lack: a lane whose first row does not know it.
    stuck = (
        "SELECT 1 FROM $inbox INDEXED BY $inbox_lane "
        "WHERE ordered = 1 AND ready = 0 AND processed_at IS NULL "
        "AND dead_at IS NULL AND NOT EXISTS (SELECT 1 FROM $inbox AS earlier "
        "WHERE earlier.handler = $inbox.handler AND earlier.key = $inbox.key "
        "AND earlier.ordered = 1 AND earlier.processed_at IS NULL AND earlier.dead_at IS NULL "
        "AND earlier.position < $inbox.position) LIMIT 1"
    )
    mend = (
        "UPDATE $inbox SET ready = 1 WHERE ordered = 1 AND ready = 0 AND processed_at IS NULL "
        "AND dead_at IS NULL AND NOT EXISTS (SELECT 1 FROM $inbox AS earlier "
        "WHERE earlier.handler = $inbox.handler AND earlier.key = $inbox.key "
        "AND earlier.ordered = 1 AND earlier.processed_at IS NULL AND earlier.dead_at IS NULL "
        "AND earlier.position < $inbox.position)"
    )
    forget = "DELETE FROM $inbox WHERE position = ? AND handler = ''"
