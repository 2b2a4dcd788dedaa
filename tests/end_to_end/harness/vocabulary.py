"""What a random conversation is made of: statements of one client, in texts where {u} and {v} are its keys (two users whose
rows lie on one node). Everything here has one right answer: nothing tells a time, a process or an order that no ORDER BY
fixes, and nothing that Mosaic refuses by design (MZ0xx) is said. What may keep a server for the client (channels, locks,
temporary tables, cursors WITH HOLD) carries a hint, so that the server is one of the key's node.

A Phrase is a statement with the values for its parameters. `leaves_trace`: what it does to the session may be gone with the
transaction (README), so the client goes on by DISCARD ALL. No SERIALIZABLE: it may fail by what others do on the same pages.
"""

from typing import NamedTuple

HINT = "/* mosaic user_id={u} */ "


class Phrase(NamedTuple):
    sql: str
    values: tuple = ()
    keeps_server: bool = False
    leaves_trace: bool = False


def stands_alone(phrase):
    """What Mosaic refuses beside other statements in one query: the comment that is a hint is that of the whole query, what a
    function touches is unknown, names of prepared statements are looked up before the query runs, and what a server resets is
    not what the client gave at start-up."""
    sql = phrase.sql
    if "user_id = $1" in sql and "x" in phrase.values:  # refused before any of them runs
        return True
    return sql.startswith(HINT) or "harmless(" in sql or "RESET" in sql or "TO DEFAULT" in sql or "ZONE LOCAL" in sql or sql.startswith(("PREPARE ", "EXECUTE ")) or (
        sql.startswith("DEALLOCATE ") and not sql.endswith("ALL"))


def _name(rng):
    return f"n{rng.randrange(5)}"


def _user(rng):
    return rng.choice(["{u}", "{u}", "{u}", "{v}"])


def read(rng):
    user, name = _user(rng), _name(rng)
    return rng.choice([
        Phrase(f"SELECT name, number FROM samples WHERE user_id = {user} ORDER BY name"),
        Phrase(f"SELECT number, at FROM samples WHERE user_id = {user} AND name = '{name}'"),
        Phrase("SELECT name, number FROM samples WHERE user_id = $1 ORDER BY name", (user,)),
        Phrase("SELECT number, at, tags FROM samples WHERE user_id = $1 AND name = $2", (user, name)),
        Phrase("SELECT count(*) FROM samples WHERE user_id = $1 AND number > $2", (user, str(rng.randrange(9)))),
        Phrase(f"SELECT a.name FROM samples a JOIN samples b USING (user_id, name) WHERE a.user_id = {user} ORDER BY 1 FOR UPDATE OF a"),
        Phrase(f"WITH mine AS (SELECT * FROM samples WHERE user_id = {user}) SELECT count(*), max(number) FROM mine"),
        Phrase(f"SELECT \"Item\", quantity FROM \"Line Items\" WHERE \"User Id\" = {user} ORDER BY 1, 2"),
        Phrase(f"SELECT slot, who FROM slots WHERE user_id = {user} ORDER BY 1, 2"),
        Phrase(f"SELECT body FROM notes WHERE owner_id = {user} ORDER BY 1")])


def write(rng):
    user, name, number = _user(rng), _name(rng), rng.randrange(20)
    return rng.choice([
        Phrase(f"INSERT INTO samples (user_id, name, number) VALUES ({user}, '{name}', {number})"),
        Phrase("INSERT INTO samples (user_id, name, number) VALUES ($1, $2, $3) ON CONFLICT (user_id, name) DO UPDATE SET number = "
               "samples.number + 1 RETURNING name, number", (user, name, str(number))),
        Phrase(f"INSERT INTO samples (user_id, name, number) VALUES ({user}, '{name}', 1) ON CONFLICT DO NOTHING"),
        Phrase("UPDATE samples SET number = number + $1 WHERE user_id = $2", (str(number), user)),
        Phrase(f"UPDATE samples SET number = {number} WHERE user_id = {user} AND name = '{name}' RETURNING number"),
        Phrase("DELETE FROM samples WHERE user_id = $1 AND name = $2 RETURNING name", (user, name)),
        Phrase(f"INSERT INTO \"Line Items\" VALUES ({user}, 'it''s {number}')"),
        Phrase(f"INSERT INTO slots VALUES ({user}, {number % 3}, '{name}')"),
        Phrase(f"UPDATE slots SET slot = slot + 1 WHERE user_id = {user}"),
        Phrase(f"INSERT INTO notes VALUES ({user}, 'note {number}')"),
        Phrase(f"DELETE FROM slots WHERE user_id = {user} AND slot > {number % 3}")])


def constant(rng):
    return rng.choice([
        Phrase("SELECT 1"), Phrase("SELECT 'a' AS x, NULL, 1.5"), Phrase("VALUES (1, 'a'), (2, 'b')"),
        Phrase("SELECT $1::int + 1", (str(rng.randrange(9)),)),
        Phrase("SELECT n FROM generate_series(1, 5) n"), Phrase("SELECT n, $1::text FROM generate_series(1, 4) n", ("x",)),
        Phrase("SELECT 1 WHERE false"),
        Phrase("SELECT '2024-05-06'::date, '2024-05-06 07:08:09+00'::timestamptz, '1 day 2 hours'::interval"),
        Phrase("SELECT '\\x00ff'::bytea, 0.1::float8"),
        Phrase("SELECT harmless(1)"), Phrase("SELECT current_user, session_user"), Phrase("SELECT count(*) FROM countries"),
        Phrase("SELECT typname FROM pg_type WHERE oid = 23"),
        Phrase(f"{HINT}SELECT pg_advisory_xact_lock({{u}})"), Phrase("SELECT now() = transaction_timestamp()"),
        Phrase("TABLE countries")])


def wrong(rng):
    return rng.choice([
        Phrase("SELECT 1 / 0"), Phrase("SELEC 1"), Phrase("SELECT 'x'::int"), Phrase("SELECT nothing()"),
        Phrase("SELECT * FROM nowhere"), Phrase("SELECT $1::int", ("x",)),
        Phrase("SELECT nothing FROM samples WHERE user_id = {u}"),
        Phrase("SELECT sum(number / 0) FROM samples WHERE user_id = $1", ("{u}",)),
        Phrase("SELECT 10 / (3 - n) FROM generate_series(1, 5) n"),
        Phrase("SELECT 10 / (3 - n), one.* FROM (SELECT count(*) FROM samples WHERE user_id = {u}) one, generate_series(1, 5) n"),
        Phrase("INSERT INTO samples (user_id) VALUES ({u})"),
        Phrase("SELECT name FROM samples WHERE user_id = $1 ORDER BY 1", ("x",)), Phrase("PREPARE TRANSACTION 'never{u}'"),
        Phrase("COMMIT PREPARED 'never{u}'"), Phrase("SELECT 'unfinished"), Phrase("SET timezone = 'No/Where'"),
        Phrase("SHOW no_such_setting"), Phrase("SELECT currval('nothing')"),
        Phrase("SET ROLE nobody_at_all"), Phrase("SET SESSION AUTHORIZATION low")])


_SETTINGS = {
    "timezone": ["'Asia/Tokyo'", "'UTC'", "'America/New_York'", "-5"],
    "datestyle": ["'German'", "'YMD'", "'SQL, DMY'", "'ISO'", "'ISO, MDY'"],
    "application_name": ["'me'", "'it''s mine'", "''"],
    "statement_timeout": ["'10min'", "123456"], "intervalstyle": ["'postgres_verbose'", "'iso_8601'"],
    "extra_float_digits": ["0", "3"], "search_path": ["public", "public, pg_catalog", '"$user", public'],
    "bytea_output": ["'escape'", "'hex'"], "default_transaction_isolation": ["'repeatable read'", "'read committed'"],
    "client_min_messages": ["'warning'", "'notice'"],
    "client_encoding": ["'LATIN1'", "'UTF8'"], "app.user": ["'42'", "'x y'"], "app.current_user": ["'me'"],
    "\"order\".x": ["'1'"], "app.\"Tenant Id\"": ["'t'"], "standard_conforming_strings": ["off", "on"],
    "default_transaction_read_only": ["off", "on", "off"], "transaction_isolation": ["'repeatable read'"],
    "transaction_read_only": ["on"], "role": ["low", "high", "none"]}
_CUSTOM = [name for name in _SETTINGS if "." in name]
_SEEN = ("timezone", "datestyle", "application_name", "statement_timeout", "intervalstyle", "extra_float_digits",
         "search_path", "bytea_output", "client_encoding",
         "default_transaction_isolation", "transaction_isolation", "transaction_read_only", "client_min_messages",
         "standard_conforming_strings", "default_transaction_read_only", "role")


def setting(rng):
    name = rng.choice(list(_SETTINGS))
    value = rng.choice(_SETTINGS[name])
    plain = name.replace('"', "")
    literal = value if value.startswith("'") else f"'{value}'"
    is_local = rng.choice(["true", "false"])
    return rng.choice([
        Phrase(f"SET {name} = {value}"), Phrase(f"SET {name} TO {value}"), Phrase(f"SET LOCAL {name} = {value}"),
        Phrase(f"SET SESSION {name} TO DEFAULT"),
        Phrase(f"RESET {name}"), Phrase("RESET ALL"), Phrase(f"SELECT set_config('{plain}', {literal}, {is_local})"),
        Phrase(f"SELECT set_config($1, $2, {is_local})", (plain, literal[1:-1].replace("''", "'"))),
        Phrase("SET TIME ZONE LOCAL"), Phrase("SET ROLE low"), Phrase("RESET ROLE"),
        Phrase("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED"),
        Phrase("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE"),
        Phrase("SET TRANSACTION READ ONLY"), Phrase("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"),
        Phrase("SET CONSTRAINTS ALL IMMEDIATE"), Phrase("SET CONSTRAINTS ALL DEFERRED"),
        Phrase("SET NAMES 'UTF8'"), Phrase("SET SCHEMA 'public'")])


def see_settings(rng):
    custom = ", ".join(f"coalesce(current_setting('{name}', true), '')".replace('"', "") for name in _CUSTOM)
    seen = ", ".join(f"current_setting('{name}')" for name in _SEEN)
    return rng.choice([
        Phrase(f"SHOW {rng.choice([name for name in _SETTINGS if name not in _CUSTOM])}"),
        Phrase(f"SELECT {seen}, {custom}"),
        Phrase(f"SELECT {seen}, {custom}, current_user, count(*) FROM samples WHERE user_id = {{u}}"),
        Phrase(f"SELECT {seen}, count(*) FROM samples WHERE user_id = $1", ("{u}",))])


def begin(rng):
    return Phrase(rng.choice(["BEGIN", "BEGIN", "BEGIN", "START TRANSACTION", "BEGIN READ ONLY",
                              "BEGIN ISOLATION LEVEL REPEATABLE READ", "BEGIN ISOLATION LEVEL REPEATABLE READ, READ WRITE",
                              "START TRANSACTION ISOLATION LEVEL READ COMMITTED, READ ONLY", "BEGIN WORK",
                              "BEGIN TRANSACTION DEFERRABLE"]))


def end(rng):
    return Phrase(rng.choice(["COMMIT", "COMMIT", "COMMIT", "END", "ROLLBACK", "ROLLBACK", "ABORT", "COMMIT AND CHAIN",
                              "ROLLBACK AND CHAIN"]))


def savepoint(rng):
    name = rng.choice(["a", "b", "c", "\"A\""])
    return Phrase(rng.choice([f"SAVEPOINT {name}", f"SAVEPOINT {name}", f"RELEASE {name}", f"RELEASE SAVEPOINT {name}",
                              f"ROLLBACK TO {name}", f"ROLLBACK TO SAVEPOINT {name}"]))


def cursor(rng):
    name = rng.choice(["c", "d", "\"C\""])
    query = rng.choice(["SELECT name, number FROM samples WHERE user_id = {u} ORDER BY name",
                        "SELECT n FROM generate_series(1, 9) n", "SELECT 10 / (4 - n) FROM generate_series(1, 9) n"])
    kind = rng.choice(["DECLARE", "DECLARE", "FETCH", "FETCH", "FETCH", "MOVE", "CLOSE"])
    if kind == "DECLARE":
        return Phrase(f"DECLARE {name} {rng.choice(['', 'SCROLL', 'NO SCROLL', 'BINARY'])} CURSOR FOR {query}")
    if kind == "CLOSE":
        return Phrase(rng.choice([f"CLOSE {name}", "CLOSE ALL"]))
    return Phrase(f"{kind} {rng.choice(['1', '2', 'ALL', 'FORWARD 3', 'PRIOR', 'NEXT', 'FIRST', 'BACKWARD 1', 'ABSOLUTE 2', '0'])} {rng.choice(['FROM', 'IN'])} {name}")


def held_cursor(rng):
    name = rng.choice(["kept", "h"])
    query = rng.choice(["SELECT name FROM samples WHERE user_id = {u} ORDER BY 1", "SELECT n FROM generate_series(1, 9) n"])
    return rng.choice([Phrase(f"{HINT}DECLARE {name} SCROLL CURSOR WITH HOLD FOR {query}", keeps_server=True),
                       Phrase(f"{HINT}FETCH 2 FROM {name}"), Phrase(f"{HINT}FETCH ALL FROM {name}"),
                       Phrase(f"CLOSE {name}"), Phrase("CLOSE ALL")])


def prepared(rng):
    name = rng.choice(["q1", "q2", "\"Q 1\""])
    return rng.choice([
        Phrase(f"PREPARE {name} (bigint) AS SELECT name, number FROM samples WHERE user_id = $1 ORDER BY name"),
        Phrase(f"PREPARE {name} AS SELECT n FROM generate_series(1, 3) n"),
        Phrase(f"PREPARE {name} (bigint, text) AS UPDATE samples SET number = 5 WHERE user_id = $1 AND name = $2 RETURNING number"),
        Phrase("PREPARE s1 AS SELECT 1"), Phrase("DEALLOCATE s1"),
        Phrase(f"EXECUTE {name}({{u}})"), Phrase(f"EXECUTE {name}({{u}}, lower('N1'))"), Phrase(f"EXECUTE {name}"),
        Phrase(f"EXECUTE {name}({{u}}, 'n1')"), Phrase(f"DEALLOCATE {name}"), Phrase(f"DEALLOCATE PREPARE {name}")])


def discard(rng):
    return Phrase(rng.choice(["DISCARD ALL", "DISCARD PLANS", "DISCARD SEQUENCES", "DISCARD TEMP", "DEALLOCATE ALL",
                              "DEALLOCATE ALL", "UNLISTEN *", "CLOSE ALL", "RESET ALL"]))


def channel(rng):
    return rng.choice([Phrase(f"{HINT}LISTEN c{{u}}", keeps_server=True), Phrase(f"{HINT}NOTIFY c{{u}}, 'hello'"),
                       Phrase(f"{HINT}SELECT pg_notify('c{{u}}', 'by a function')"),
                       Phrase("UNLISTEN c{u}"), Phrase("UNLISTEN *"),
                       Phrase(f"{HINT}SELECT * FROM pg_listening_channels()")])


def temporary(rng):
    table = f"tmp{rng.randrange(2)}"
    return rng.choice([
        Phrase(f"{HINT}CREATE TEMP TABLE {table} (a int)", keeps_server=True),
        Phrase(f"{HINT}CREATE TEMP TABLE {table} ON COMMIT DROP AS SELECT 1 AS a", keeps_server=True),
        Phrase(f"{HINT}CREATE TEMP TABLE {table} (a int) ON COMMIT DELETE ROWS", keeps_server=True),
        Phrase(f"{HINT}INSERT INTO {table} VALUES (1), (2)"), Phrase(f"{HINT}SELECT a FROM {table} ORDER BY 1"),
        Phrase(f"{HINT}DROP TABLE {table}"), Phrase(f"{HINT}DROP TABLE IF EXISTS {table}"),
        Phrase(f"{HINT}CREATE TEMP TABLE {table} AS SELECT 'x' AS name", keeps_server=True)])


def lock(rng):
    key = f"{{u}}{rng.randrange(2)}"
    return rng.choice([Phrase(f"{HINT}SELECT pg_advisory_lock({key})", keeps_server=True),
                       Phrase(f"{HINT}SELECT pg_advisory_lock_shared({key})", keeps_server=True),
                       Phrase(f"{HINT}SELECT pg_advisory_unlock({key})"),
                       Phrase(f"{HINT}SELECT pg_advisory_unlock_shared({key})"),
                       Phrase(f"{HINT}SELECT pg_advisory_unlock_all()"),
                       Phrase(f"SELECT pg_advisory_xact_lock({key}) FROM samples WHERE user_id = {{u}} AND name = 'n1'"),
                       Phrase(f"{HINT}SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()")])


def trace(rng):
    what = rng.choice(["SET statement_timeout = '77s'", "SET app.tenant = 'A'", "SET ROLE low", "SET TIME ZONE 'Asia/Tokyo'",
                       "LISTEN c{u}", "CREATE TEMP TABLE aside (a int)", "SELECT pg_advisory_lock({u})",
                       "SELECT nextval('public.counted')", "PREPARE left_over AS SELECT 1", "SET LOCAL timezone = 'UTC'",
                       "SELECT 1", "SELECT 1 / 0"])
    return rng.choice([
        Phrase(f"{HINT}DO $$ BEGIN EXECUTE $x${what}$x$; END $$", leaves_trace=True),
        Phrase(f"{HINT}SELECT run_text($x${what}$x$)", leaves_trace=True),
        Phrase(f"INSERT INTO hooks VALUES ({{u}}, $x${what}$x$)", leaves_trace=True),
        Phrase(f"{HINT}CALL act($x${what}$x$)", leaves_trace=True),
        Phrase("SELECT become('A'), count(*) FROM samples WHERE user_id = {u}", leaves_trace=True),
        Phrase(f"{HINT}SELECT count_on(), lastval() > 0", leaves_trace=True),
        Phrase(f"{HINT}SELECT nextval('counted') > 0, currval('counted') > 0", leaves_trace=True),
        Phrase("INSERT INTO stamped (user_id) VALUES ({u})", leaves_trace=True),
        Phrase(f"{HINT}UPDATE pg_settings SET setting = '77000' WHERE name = 'lock_timeout'", leaves_trace=True)])


def copy_out(rng):
    return Phrase("COPY (SELECT name, number FROM samples WHERE user_id = {u} ORDER BY name) TO STDOUT" + rng.choice(["",
            " WITH (FORMAT csv)", " WITH (FORMAT csv, HEADER)"]))


def copy_in(rng):
    return Phrase("COPY " + rng.choice(["samples (user_id, name)", "notes (owner_id, body)", "notes"]) + " FROM STDIN")


def nothing(rng):
    return Phrase(rng.choice(["", "-- nothing", "/* nothing */", " "]))


# How often, outside a transaction and inside one.
KINDS = {read: (14, 14), write: (12, 14), constant: (8, 10), wrong: (4, 5), setting: (9, 9), see_settings: (8, 8),
         begin: (14, 1), end: (1, 14), savepoint: (1, 14), cursor: (1, 8), held_cursor: (2, 2),
         prepared: (6, 4), discard: (3, 1), channel: (3, 2), temporary: (3, 3), lock: (3, 2), trace: (2, 2),
         copy_out: (2, 2), copy_in: (3, 2), nothing: (1, 1)}


def phrase(rng, in_transaction, without=()):
    kinds = [kind for kind in KINDS if kind not in without]
    return rng.choices(kinds, [KINDS[kind][in_transaction] for kind in kinds])[0](rng) if kinds else Phrase("SELECT 1")
