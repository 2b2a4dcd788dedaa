"""What a client may do, one function per kind of act: statements of one user through every part of the protocol.

Each act takes the pair of clients, a random generator and the user id, and compares as it goes. An act may leave a
transaction, a setting or a prepared statement behind: acts are meant to follow each other in any order. An act that
drops the connection only ever drops what was not going to be committed, so that both sides know the outcome.
"""

from . import wire_client as wire

INT4, INT8, TEXT = 23, 20, 25
_STATEMENTS = {
    "select": ("SELECT name, number FROM samples WHERE user_id = $1 ORDER BY name", [INT8]),
    "by name": ("SELECT number, tags, at FROM samples WHERE user_id = $1 AND name = $2", [INT8, TEXT]),
    "update": ("UPDATE samples SET number = number + 1 WHERE user_id = $1 RETURNING user_id", [INT4]),
    "insert": ("INSERT INTO samples (user_id, name, number) VALUES ($1, $2, 5)", []),
    "untyped": ("SELECT count(*) FROM samples WHERE user_id = $1", []),
    # How many rows come before an error must not depend on the order in which a server reads them: none, or two.
    "fails": ("SELECT sum(number / 0) FROM samples WHERE user_id = $1", [INT8]),
    "fails late": ("SELECT 10 / (3 - n), one.* FROM (SELECT count(*) FROM samples WHERE user_id = $1) one, generate_series(1, 5) n",
                   [INT8]),
}
_SETTINGS = {
    "timezone": ["'Asia/Tokyo'", "'UTC'", "'America/New_York'", "-5", "'No/Where'"],
    "datestyle": ["'German'", "'ISO, MDY'", "'SQL, DMY'", "'nonsense'"],
    "application_name": ["'isolation'", "'it''s mine'", "''"],
    "statement_timeout": ["'10min'", "123456", "'-5'"],
    "intervalstyle": ["'postgres_verbose'", "'iso_8601'"],
    "extra_float_digits": ["0", "3", "99"],
    "search_path": ["public", "public, pg_catalog", "'$user', public"],
    "bytea_output": ["'escape'", "'hex'"],
    "lock_timeout": ["5000", "'7s'"],
    "default_transaction_isolation": ["'repeatable read'", "'read committed'"],
    "client_min_messages": ["'warning'", "'notice'"],
    "my.setting": ["'custom'"],
    "no_such_setting": ["1"],
}
_INVALID = ("'No/Where'", "'nonsense'", "'-5'", "99")  # of the above


def _name(rng):
    return f"n{rng.randrange(6)}"


def insert(pair, rng, user):
    pair.query(f"INSERT INTO samples (user_id, name, number, at) VALUES ({user}, '{_name(rng)}', {rng.randrange(100)}, "
               "'2024-05-06 07:08:09+00')")


def upsert(pair, rng, user):
    pair.query(f"INSERT INTO samples (user_id, name, number) VALUES ({user}, '{_name(rng)}', 1) ON CONFLICT (user_id, name) "
               "DO UPDATE SET number = samples.number + 1 RETURNING name, number")


def insert_rows(pair, rng, user):
    rows = ", ".join(f"({user}, '{_name(rng)}', '{{a,b}}')" for _ in range(rng.randrange(1, 4)))
    pair.query(f"INSERT INTO samples (user_id, name, tags) VALUES {rows} RETURNING *")


def update(pair, rng, user):
    pair.query(f"UPDATE samples SET number = {rng.randrange(50)}, ratio = 0.1 WHERE user_id = {user} AND name = '{_name(rng)}'")


def delete(pair, rng, user):
    pair.query(f"DELETE FROM samples WHERE user_id = {user} AND number > {rng.randrange(200)} RETURNING user_id")


def select(pair, rng, user):
    pair.query(f"SELECT * FROM samples WHERE user_id = {user} ORDER BY name")


def select_joined(pair, rng, user):
    pair.query(f"WITH mine AS (SELECT * FROM samples WHERE user_id = {user}) SELECT a.name, b.name FROM mine a "
               f"JOIN samples b ON a.user_id = b.user_id WHERE b.user_id = {user} ORDER BY 1, 2 FOR UPDATE OF b")


def select_of_no_table(pair, rng, user):
    pair.query(rng.choice(["SELECT 1", "SELECT 'a' AS x, NULL, 1.5", "VALUES (1), (2)", "SELECT 1 WHERE false", "SELECT 1 / 0",
                           "SHOW server_version", "SELECT '\\x00ff'::bytea, '1 day 2 hours'::interval"]))


def several_statements(pair, rng, user):
    parts = [f"INSERT INTO samples (user_id, name) VALUES ({user}, '{_name(rng)}')",
             f"SELECT count(*) FROM samples WHERE user_id = {user}",
             f"UPDATE samples SET number = 7 WHERE user_id = {user}", "SELECT 1",
             f"SELECT sum(number / 0) FROM samples WHERE user_id = {user}"]
    pair.query("; ".join(rng.sample(parts, rng.randrange(2, 4))) + rng.choice(["", ";", ";;"]))


def empty_statement(pair, rng, user):
    pair.query(rng.choice(["", ";", "-- nothing", "/* nothing */ ;"]))


def wrong_statement(pair, rng, user):
    pair.query(rng.choice([
        "SELEC 1", "SELECT FROM WHERE", f"SELECT nothing FROM samples WHERE user_id = {user}",
        f"INSERT INTO users (user_id, country, created_at) VALUES ({user}, 'long', '2024-01-01 00:00:00Z')",
        f"SELECT nofunction(name) FROM samples WHERE user_id = {user}", "SELECT 'unfinished",
        f"INSERT INTO samples (user_id) VALUES ({user})"]))


def begin(pair, rng, user):
    statement = rng.choice(["BEGIN", "START TRANSACTION", "begin isolation level repeatable read", "BEGIN"])
    # Within a transaction PostgreSQL checks the options at once, Mosaic with the first statement that names a node.
    pair.query("BEGIN" if pair.is_in_transaction else statement)
    # All statements that share a snapshot run on one node, which the first of them decides.
    if "isolation" in statement:
        select(pair, rng, user)


def read_only_transaction(pair, rng, user):
    pair.query(rng.choice(["BEGIN READ ONLY", "START TRANSACTION READ ONLY"]))
    for act in rng.choices([select, update, upsert, bind_unnamed, savepoint, see_settings], k=rng.randrange(1, 4)):
        act(pair, rng, user)
    pair.query(rng.choice(["COMMIT", "ROLLBACK"]))


def commit(pair, rng, user):
    pair.query(rng.choice(["COMMIT", "END"]))


def rollback(pair, rng, user):
    pair.query(rng.choice(["ROLLBACK", "ABORT", "ROLLBACK"]))


def savepoint(pair, rng, user):
    name = rng.choice("abc")
    pair.query(rng.choice([f"SAVEPOINT {name}", f"ROLLBACK TO {name}", f"RELEASE {name}", f"SAVEPOINT {name}"]))


def whole_transaction(pair, rng, user):
    pair.query("BEGIN")
    for act in rng.choices([insert, upsert, update, delete, select, savepoint, set_local, wrong_statement, bind_unnamed],
                           weights=[3, 3, 3, 1, 3, 2, 2, 1, 3], k=rng.randrange(1, 5)):
        act(pair, rng, user)
    pair.query(rng.choice(["COMMIT", "COMMIT", "ROLLBACK"]))


def set_session(pair, rng, user):
    name = rng.choice(list(_SETTINGS))
    pair.query(f"SET {name} = {rng.choice(_SETTINGS[name])}")


def set_local(pair, rng, user):
    # Behind a BEGIN that is still held, Mosaic passes SET LOCAL on with the first statement that names a node: only then
    # PostgreSQL reports the parameter, and only then it refuses what is wrong. So: valid values of parameters that are not
    # reported.
    reported = ("timezone", "datestyle", "intervalstyle", "application_name", "client_encoding")
    name = rng.choice([name for name in _SETTINGS if name.lower() not in (*reported, "no_such_setting")])
    pair.query(f"SET LOCAL {name} TO {rng.choice([value for value in _SETTINGS[name] if value not in _INVALID])}")


def reset(pair, rng, user):
    pair.query(f"RESET {rng.choice(list(_SETTINGS) + ['ALL', 'ALL'])}")


def show(pair, rng, user):
    pair.query(f"SHOW {rng.choice([name for name in _SETTINGS if '.' not in name])}")


def see_settings(pair, rng, user):
    """What the server session itself believes, on the shard's node."""
    names = ("timezone", "datestyle", "application_name", "statement_timeout", "intervalstyle", "extra_float_digits",
             "search_path", "bytea_output", "lock_timeout", "default_transaction_isolation", "transaction_isolation",
             "transaction_read_only", "client_encoding")
    shown = ", ".join(f"current_setting('{name}')" for name in names)
    pair.query(f"SELECT {shown}, coalesce(current_setting('my.setting', true), ''), max(at), 0.1::float8 FROM samples WHERE user_id = {user}")


def discard_all(pair, rng, user):
    pair.query(rng.choice(["DISCARD ALL", "DEALLOCATE ALL", "DISCARD PLANS"]))


def _values(statement, user, rng):
    count = 2 if "$2" in statement else 1
    return [str(user), _name(rng)][:count]


def bind_unnamed(pair, rng, user):
    sql, types = _STATEMENTS[rng.choice(list(_STATEMENTS))]
    messages = [wire.parse("", sql, types)]
    if rng.random() < 0.3:
        messages.append(wire.describe("S", ""))
    messages.append(wire.bind("", "", _values(sql, user, rng), result_formats=[rng.randrange(2)]))
    if rng.random() < 0.6:
        messages.append(wire.describe("P", ""))
    pair.exchange(*messages, wire.execute(), wire.SYNC)


def bind_binary(pair, rng, user):
    sql, types = _STATEMENTS["by name"]
    pair.exchange(wire.parse("", sql, types), wire.bind("", "", [user.to_bytes(8, "big", signed=True), b"n1"], formats=[1]),
                  wire.describe("P", ""), wire.execute(), wire.SYNC)


def parse_named(pair, rng, user):
    """The name does not tell which statement it is, so that mixed-up names show."""
    sql, types = _STATEMENTS[rng.choice(list(_STATEMENTS))]
    pair.exchange(wire.parse(f"s{rng.randrange(3)}", sql, types), wire.SYNC)


def describe_named(pair, rng, user):
    pair.exchange(wire.describe("S", f"s{rng.randrange(3)}"), wire.SYNC)


def bind_named(pair, rng, user):
    name, count = f"s{rng.randrange(3)}", rng.randrange(1, 3)
    pair.exchange(wire.bind("", name, [str(user), "n1"][:count]), wire.describe("P", ""), wire.execute(), wire.SYNC)


def close_named(pair, rng, user):
    pair.exchange(wire.close("S", f"s{rng.randrange(3)}"), wire.SYNC)


def prepare_and_use(pair, rng, user):
    """Parse once, then bind again and again, as drivers do, with other statements in between."""
    sql, types = _STATEMENTS[rng.choice(["select", "update", "insert", "untyped"])]
    pair.exchange(wire.close("S", "mine"), wire.parse("mine", sql, types), wire.describe("S", "mine"), wire.SYNC)
    for _ in range(rng.randrange(1, 5)):
        pair.exchange(wire.bind("", "mine", _values(sql, user, rng)), wire.execute(), wire.SYNC)
        if rng.random() < 0.5:
            select(pair, rng, user)


def pipeline(pair, rng, user):
    """Several statements before one Sync, or several Syncs in one write; one of them may fail."""
    messages, syncs = [], 1
    for _ in range(rng.randrange(2, 6)):
        sql, types = _STATEMENTS[rng.choices(list(_STATEMENTS), weights=[4, 4, 4, 4, 4, 1, 1])[0]]
        messages += [wire.parse("", sql, types), wire.bind("", "", _values(sql, user, rng)), wire.execute()]
        if rng.random() < 0.3:
            messages.append(wire.SYNC)
            syncs += 1
    pair.exchange(*messages, wire.SYNC, times=syncs)


def flush_then_sync(pair, rng, user):
    sql, types = _STATEMENTS["select"]
    frames = pair.exchange(wire.parse("", sql, types), wire.describe("S", ""), wire.FLUSH, until="TE")
    if frames[-1].type == "T":  # else the server says nothing more before the Sync
        pair.exchange(wire.bind("", "", [str(user)]), wire.execute(), wire.FLUSH, until="CE")
    pair.exchange(wire.SYNC)


def portal_in_parts(pair, rng, user):
    """A portal read in pieces inside a transaction (PostgreSQL manual: Execute with a row limit)."""
    pair.query("BEGIN")
    sql = "SELECT n, $1::bigint FROM samples, generate_series(1, 3) n WHERE user_id = $1 ORDER BY name, n"
    pair.exchange(wire.parse("", sql), wire.bind("part", "", [str(user)]), wire.execute("part", 2), wire.SYNC)
    for _ in range(rng.randrange(3)):
        pair.exchange(wire.execute("part", rng.randrange(1, 4)), wire.SYNC)
    pair.exchange(wire.close("P", "part"), wire.SYNC)
    pair.query("COMMIT")


def cursor(pair, rng, user):
    pair.query("BEGIN")
    pair.query(f"DECLARE c {rng.choice(['', 'SCROLL'])} CURSOR FOR SELECT name FROM samples WHERE user_id = {user} ORDER BY 1")
    for _ in range(rng.randrange(1, 4)):
        pair.query(rng.choice(["FETCH 1 FROM c", "FETCH 2 FROM c", "MOVE 1 IN c", "FETCH FORWARD ALL FROM c", "FETCH PRIOR FROM c"]))
    pair.query(rng.choice(["CLOSE c", "SELECT 1"]))
    pair.query(rng.choice(["COMMIT", "ROLLBACK"]))


def copy_in(pair, rng, user):
    replies = pair.exchange(wire.query("COPY samples (user_id, name, number) FROM STDIN"), until="GZ")
    if replies[-1].type == "Z":
        return  # refused: the transaction has failed before
    rows = [f"{user}\t{_name(rng)}{rng.choice('xyz')}\t{rng.randrange(9)}\n" for _ in range(rng.randrange(1, 4))]
    if rng.random() < 0.2:
        rows.append(f"{user}\tbad\tno number\n")
    pair.send(*[wire.frame("d", row.encode()) for row in rows])
    pair.exchange(wire.frame("c") if rng.random() < 0.8 else wire.frame("f", b"no more\0"))


def copy_out(pair, rng, user):
    pair.query(f"COPY (SELECT name, number FROM samples WHERE user_id = {user} ORDER BY name) TO STDOUT "
               + rng.choice(["", "WITH (FORMAT csv, HEADER)"]))


def large_result(pair, rng, user):
    pair.query(f"/* mosaic user_id={user} */ SELECT n, repeat(md5(n::text), 200) FROM generate_series(1, 60) n")


def raise_notice(pair, rng, user):
    pair.query(f"/* mosaic user_id={user} */ DO $$ BEGIN RAISE NOTICE 'for %', {user}; END $$")


def cancel(pair, rng, user):
    pair.send(wire.query(f"/* mosaic user_id={user} */ SELECT pg_sleep(20)"))
    pair.cancel_and_take()


# --- acts that drop the connection, each in another phase

def _reconnect(pair, rng):
    pair.abandon(reset=rng.random() < 0.3)
    pair.connect(**({"application_name": "again"} if rng.random() < 0.3 else {}))


def leave_politely(pair, rng, user):
    pair.terminate()
    pair.connect()


def drop_between_statements(pair, rng, user):
    _reconnect(pair, rng)


def drop_inside_a_frame(pair, rng, user):
    message = wire.query(f"DELETE FROM samples WHERE user_id = {user}")
    pair.send(message[:rng.randrange(1, len(message) - 1)])
    _reconnect(pair, rng)


def drop_after_parse(pair, rng, user):
    pair.send(wire.parse("s1", _STATEMENTS["select"][0]), *([wire.FLUSH] if rng.random() < 0.5 else []))
    _reconnect(pair, rng)


def drop_inside_a_transaction(pair, rng, user):
    pair.query("BEGIN")
    upsert(pair, rng, user)
    _reconnect(pair, rng)


def drop_while_waiting(pair, rng, user):
    # Never commits: the transaction block ends with the connection.
    pair.send(wire.query("BEGIN"), wire.query(f"UPDATE samples SET number = -1 WHERE user_id = {user}"))
    _reconnect(pair, rng)


def drop_inside_a_large_result(pair, rng, user):
    pair.send(wire.query(f"/* mosaic user_id={user} */ SELECT repeat(md5(n::text), 3000) FROM generate_series(1, 200) n"))
    for client in pair.clients:
        client.take_bytes(100)
    _reconnect(pair, rng)


def drop_inside_copy(pair, rng, user):
    replies = pair.exchange(wire.query("COPY samples (user_id, name) FROM STDIN"), until="GZ")
    if replies[-1].type == "G":
        pair.send(wire.frame("d", f"{user}\tnever\n".encode()))
    _reconnect(pair, rng)


ACTS = {act: weight for act, weight in [
    (insert, 6), (upsert, 6), (insert_rows, 3), (update, 5), (delete, 2), (select, 8), (select_joined, 3),
    (select_of_no_table, 3), (several_statements, 4), (empty_statement, 1), (wrong_statement, 4), (begin, 2), (commit, 4),
    (rollback, 4), (savepoint, 3), (whole_transaction, 8), (read_only_transaction, 2), (set_session, 6), (set_local, 2), (reset, 3), (show, 3),
    (see_settings, 8), (discard_all, 1), (bind_unnamed, 8), (bind_binary, 4), (parse_named, 4), (describe_named, 2),
    (bind_named, 6), (close_named, 2), (prepare_and_use, 6), (pipeline, 6), (flush_then_sync, 3), (portal_in_parts, 3),
    (cursor, 3), (copy_in, 4), (copy_out, 3), (large_result, 2), (raise_notice, 2), (cancel, 1), (leave_politely, 1),
    (drop_between_statements, 1), (drop_inside_a_frame, 1), (drop_after_parse, 1), (drop_inside_a_transaction, 2),
    (drop_while_waiting, 2), (drop_inside_a_large_result, 1), (drop_inside_copy, 1)]}
