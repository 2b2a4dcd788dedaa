"""What a client may leave behind in a server session, and a fresh client that looks for it in every session of a pool.

`look_everywhere` holds all sessions of a node at once (a transaction in each), so none escapes. What it reports is to be
compared with what the same questions find in a new session of a plain PostgreSQL.
"""

from .dialogue import Q, Speaker
from . import wire_client as wire

CUSTOM = ("app.user", "app.tenant", "app.current_user", "app.stamped", "app.order", "user.select", "app.x", "my.default")
# A custom setting that someone used stays known to the session, as an empty text: PostgreSQL has no way to forget it.
_CUSTOM = " || '|' || ".join(f"coalesce(current_setting('{name}', true), '')" for name in CUSTOM)
# One statement per kind of trace, to be run by whatever can run a text. {n} is a number that no other client has.
TRACES = {
    "setting": "SET statement_timeout = '77s'", "custom setting": "SET app.tenant = 'A'", "role": "SET ROLE low",
    "local role": "SET LOCAL ROLE low", "time zone": "SET TIME ZONE 'Asia/Tokyo'", "search path": "SET search_path = audit",
    "channel": "LISTEN gossip", "prepared": "PREPARE left_over AS SELECT 1",
    "temporary table": "CREATE TEMPORARY TABLE aside AS SELECT 'mine' AS secret",
    "temporary view": "CREATE TEMPORARY VIEW aside AS SELECT 'mine' AS secret",
    "advisory lock": "SELECT pg_advisory_lock(71{n})", "shared lock": "SELECT pg_advisory_lock_shared(7, 1)",
    "tried lock": "SELECT pg_try_advisory_lock(72{n})", "sequence": "SELECT nextval('public.counted')",
    "set_config": "SELECT set_config('app.user', '42', false)",
    "pg_settings": "UPDATE pg_settings SET setting = '77000' WHERE name = 'statement_timeout'",
    "characteristics": "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
}
QUESTIONS = {
    "settings": "SELECT name, setting FROM pg_settings WHERE setting IS DISTINCT FROM reset_val AND context IN ('user', 'superuser') "
                "AND name NOT IN ('application_name', 'client_encoding', 'role', 'session_authorization', 'transaction_isolation', "
                "'transaction_read_only', 'transaction_deferrable') ORDER BY 1",
    "told": "SELECT current_setting('application_name'), current_setting('client_encoding'), current_setting('search_path')",
    "custom settings": f"SELECT {_CUSTOM}",
    "roles": "SELECT current_user, session_user, current_setting('role')",
    "advisory locks": "SELECT classid, objid FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
    "channels": "SELECT pg_listening_channels()",
    "cursors": "SELECT name FROM pg_cursors WHERE is_holdable ORDER BY 1",
    "prepared by SQL": "SELECT name FROM pg_prepared_statements WHERE name !~ '^mosaic_' AND statement !~ 'pg_prepared' "
                       "AND name <> '' ORDER BY 1",
    "temporary tables": "SELECT relname FROM pg_class WHERE relnamespace = pg_my_temp_schema()",
    "the last number of a sequence": "SELECT currval('counted')",
    "the last number": "SELECT lastval()",
}


def ask_all(speaker, hint=""):
    """The answers to all questions within an open transaction, as {question: rows or SQLSTATE}."""
    found = {}
    for question, sql in QUESTIONS.items():
        speaker.say([Q("SAVEPOINT look")])
        heard = speaker.say([Q(f"{hint}{sql}")])
        errors = [dict(part[1:])["C"] for part in heard if part[0] == "E"]
        found[question] = errors or [tuple(value and value.decode() for value in wire.data_row(part[1]))
                                     for part in heard if part[0] == "D"]
        speaker.say([Q("ROLLBACK TO look")])
    return found


def look_everywhere(address, users, pool):
    """[(user, answers)]: every session of the nodes of `users` (one key per node), seen by clients that have just come."""
    seen = []
    for user in users:
        speakers = []
        try:
            for _ in range(pool):
                try:
                    speakers.append(Speaker(address, silence_s=60))
                except (wire.ServerError, wire.ConnectionClosed, TimeoutError) as refused:
                    seen.append((user, {"a login": str(refused)}))
            for speaker in speakers:
                heard = speaker.say([Q("BEGIN")]) + speaker.say([Q(f"SELECT count(*) FROM samples WHERE user_id = {user}")])
                if not any(part[0] == "D" for part in heard):
                    seen.append((user, {"a first statement": [part for part in heard if part[0] == "E"]}))
            for speaker in speakers:
                if speaker.status == "T":
                    seen.append((user, ask_all(speaker, f"/* mosaic user_id={user} */ ")))
                    speaker.say([Q("COMMIT")])
        finally:
            for speaker in speakers:
                speaker.leave()
    return seen


def leftovers(address, fresh, users, pool):
    """What was found that a fresh session does not have: [text]."""
    return [f"user {user}: {question}: {answer}"
            for user, answers in look_everywhere(address, users, pool)
            for question, answer in answers.items() if answer != fresh.get(question)]
