// Ordinary use through node-postgres. Started by driver_node_postgres_test.py with the address in the environment
// (PGHOST, PGPORT, ...); prints "ok NAME" or "failed NAME" per case and exits 1 when any failed. Prints
// "sleeping" when the cancel test waits for its statement to be cancelled.
'use strict';
const assert = require('assert');
const { Client, Pool, types } = require(require.resolve('pg', { paths: [process.env.MOSAIC_NODE_MODULES] }));

types.setTypeParser(20, (value) => BigInt(value));  // bigint

const cases = {
  async connects_and_shows_the_server(client) {
    assert.deepStrictEqual((await client.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
  },

  async round_trips_every_type(client) {
    const at = new Date('2024-02-29T12:34:56.789Z');
    const sent = [501, "Ünïcødé 你好 🙂 'quoted' \\", -32768, 2147483647, '-9223372036854775808', '1234567890123456.7891',
      1.5e-300, true, at, '1999-12-31', { a: [1, null, 'ü'] }, Buffer.from([0, 1, 2, 255]), ['one', 'two, three', null, "'"],
      [1, null, -3], '12345678-1234-5678-1234-567812345678'];
    await client.query(`INSERT INTO samples VALUES (${sent.map((_, n) => `$${n + 1}`).join(', ')})`, sent);
    const row = (await client.query('SELECT *, day::text AS day FROM samples WHERE user_id = $1', [501])).rows[0];
    const got = [row.user_id, row.name, row.small, row.number, row.big, row.price, row.ratio, row.flag, row.at, row.day,
      row.document, row.raw, row.tags, row.numbers, row.token];
    assert.deepStrictEqual(got, [501n, ...sent.slice(1, 4), -9223372036854775808n, ...sent.slice(5)]);
  },

  async round_trips_nulls(client) {
    await client.query('INSERT INTO samples (user_id, name, number, tags) VALUES ($1, $2, $3, $4)', [502, '', null, []]);
    const { rows } = await client.query('SELECT name, number, tags, raw FROM samples WHERE user_id = 502');
    assert.deepStrictEqual(rows, [{ name: '', number: null, tags: [], raw: null }]);
  },

  async named_prepared_statement_serves_many_users(client) {
    for (let user = 503; user < 533; user++) {
      await client.query({ name: 'insert user', text: 'INSERT INTO users (user_id, name) VALUES ($1, $2)', values: [user, `u${user}`] });
    }
    for (let user = 503; user < 533; user++) {
      const { rows } = await client.query({ name: 'select user', text: 'SELECT name FROM users WHERE user_id = $1', values: [user] });
      assert.deepStrictEqual(rows, [{ name: `u${user}` }]);
    }
  },

  async finds_a_row_by_the_id_it_was_given(client) {
    const { id } = (await client.query("INSERT INTO media (user_id, caption) VALUES ($1, 'mine') RETURNING id", [533])).rows[0];
    const { rows } = await client.query('SELECT user_id, caption FROM media WHERE id = $1', [id]);
    assert.deepStrictEqual(rows, [{ user_id: 533n, caption: 'mine' }]);
  },

  async error_inside_a_transaction_fails_it_until_rollback(client) {
    await client.query('BEGIN');
    await client.query("INSERT INTO users (user_id, name) VALUES ($1, 'a')", [534]);
    await assert.rejects(client.query("INSERT INTO users (user_id, name) VALUES ($1, 'b')", [534]),
      { code: '23505', constraint: 'users_pkey' });
    await assert.rejects(client.query('SELECT 1'), { code: '25P02' });
    await client.query('ROLLBACK');
    assert.strictEqual((await client.query('SELECT 1 FROM users WHERE user_id = $1', [534])).rowCount, 0);
  },

  async savepoint_keeps_what_came_before_it(client) {
    await client.query('BEGIN');
    await client.query("INSERT INTO users (user_id, name) VALUES ($1, 'kept')", [535]);
    await client.query('SAVEPOINT here');
    await assert.rejects(client.query('UPDATE users SET edit_count = -1 WHERE user_id = $1', [535]), { code: '23514' });
    await client.query('ROLLBACK TO here');
    await client.query('COMMIT');
    assert.deepStrictEqual((await client.query('SELECT name FROM users WHERE user_id = $1', [535])).rows, [{ name: 'kept' }]);
  },

  async wrong_parameter_leaves_the_connection_usable(client) {
    await assert.rejects(client.query('SELECT * FROM users WHERE user_id = $1', ['no number']));
    assert.strictEqual((await client.query('SELECT 1 FROM users WHERE user_id = $1', [536])).rowCount, 0);
  },

  async many_results_of_one_script(client) {
    const results = await client.query('INSERT INTO follows VALUES (537, 1), (537, 2); SELECT followee_id FROM follows WHERE user_id = 537 ORDER BY 1');
    assert.deepStrictEqual(results.map((result) => result.command), ['INSERT', 'SELECT']);
    assert.deepStrictEqual(results[1].rows, [{ followee_id: 1n }, { followee_id: 2n }]);
  },

  async queries_queue_on_one_client(client) {
    const results = await Promise.all(Array.from({ length: 50 }, (_, n) => client.query('SELECT $1::int AS n', [n])));
    assert.deepStrictEqual(results.map((result) => result.rows[0].n), Array.from({ length: 50 }, (_, n) => n));
  },

  async pool_of_clients_serves_many_at_once() {
    const pool = new Pool({ max: 8 });
    try {
      await Promise.all(Array.from({ length: 100 }, async (_, n) => {
        await pool.query('INSERT INTO users (user_id, name) VALUES ($1, $2)', [600 + n, `u${600 + n}`]);
        const { rows } = await pool.query('SELECT name FROM users WHERE user_id = $1', [600 + n]);
        assert.deepStrictEqual(rows, [{ name: `u${600 + n}` }]);
      }));
    } finally {
      await pool.end();
    }
  },

  async ten_megabytes_in_and_out(client) {
    const raw = Buffer.alloc(10 << 20, 'abc\0\xff');
    await client.query("INSERT INTO samples (user_id, name, raw) VALUES ($1, 'big', $2)", [538, raw]);
    const { rows } = await client.query('SELECT raw FROM samples WHERE user_id = $1', [538]);
    assert.ok(rows[0].raw.equals(raw));
  },

  async cancels_a_running_statement(client) {
    const sleep = client.query('/* mosaic user_id=539 */ SELECT pg_sleep(33)');
    const cancelled = assert.rejects(sleep, { code: '57014' });
    console.log('sleeping');
    await new Promise((resolve) => process.stdin.once('data', resolve));  // the test has seen it run on the node
    const other = new Client();  // node-postgres cancels with a client that is not yet connected
    other.cancel(client, client._activeQuery || client.activeQuery);
    await cancelled;
    assert.deepStrictEqual((await client.query('SELECT 1 AS one')).rows, [{ one: 1 }]);
  },

  async sees_notices_and_parameter_status(client) {
    const notices = [];
    client.on('notice', (notice) => notices.push(notice.message));
    await client.query("/* mosaic user_id=540 */ DO $$ BEGIN RAISE NOTICE 'hello %', 42; END $$");
    assert.deepStrictEqual(notices, ['hello 42']);
  },
};

async function main() {
  let failures = 0;
  for (const [name, run] of Object.entries(cases)) {
    const client = new Client();
    try {
      await client.connect();
      await run(client);
      console.log(`ok ${name}`);
    } catch (error) {
      failures++;
      console.log(`failed ${name}: ${error.stack}`);
    } finally {
      await client.end();
    }
  }
  process.exit(failures ? 1 : 0);
}

main();
