// What programs do with node-postgres beyond single queries: cursors over Sync, kinds of transactions, notifications,
// prepared statements after errors, lost connections. Started by driver_node_patterns_test.py once for each server, with
// the address in the environment (PGHOST, PGPORT, ...); prints [what, value] as a line of JSON for each thing it sees.
'use strict';
const modules = { paths: [process.env.MOSAIC_NODE_MODULES] };
const { Client, Pool } = require(require.resolve('pg', modules));
const Cursor = require(require.resolve('pg-cursor', modules));

function note(what, value) {
  console.log(JSON.stringify([what, value === undefined ? null : value]));
}

async function attempt(what, action) {
  try {
    note(what, await action());
  } catch (error) {
    note(what, error.code || error.message);
  }
}

const rowsOf = async (client, text, values) => (await client.query(text, values)).rows;

const sources = {
  sharded: ['SELECT number FROM samples WHERE user_id = $1 ORDER BY 1', [8200]],
  ofOneNode: ['SELECT number FROM numbers WHERE number > $1 ORDER BY 1', [0]],
  noTable: ['SELECT n AS number FROM generate_series(1, $1::int) n', [20]],
};

const cases = {
  async cursors_within_transactions(client) {
    for (const [source, [text, values]] of Object.entries(sources)) {
      for (const begin of ['BEGIN', 'BEGIN READ ONLY', 'BEGIN ISOLATION LEVEL REPEATABLE READ']) {
        await client.query(begin);
        const cursor = client.query(new Cursor(text, values));
        await attempt(`${source} first`, () => cursor.read(3));
        await attempt('second', () => cursor.read(5));
        await attempt('rest', () => cursor.read(100));
        await attempt('none', () => cursor.read(1));
        await attempt('close', () => cursor.close());
        await attempt('after', () => rowsOf(client, 'SHOW transaction_read_only'));
        await client.query('COMMIT');
      }
    }
  },

  async cursors_outside_of_transactions(client) {
    // pg-cursor asks with Flush, not Sync: the implicit transaction lasts until it is read or closed.
    for (const [source, [text, values]] of Object.entries(sources)) {
      const cursor = client.query(new Cursor(text, values));
      const queued = rowsOf(client, 'SELECT 1 AS queued');
      await attempt(`${source} first`, () => cursor.read(2));
      await attempt('second', () => cursor.read(4));
      await attempt('close', () => cursor.close());
      note('queued', await queued);
    }
  },

  async cursors_that_fail(client) {
    for (const begin of ['BEGIN', '']) {
      for (const text of ['SELECT nothing FROM numbers', 'SELECT 10 / (5 - n) FROM generate_series(1, 20) n', 'SELEC 1', 'SELECT number / 0 FROM samples WHERE user_id = 8200']) {
        if (begin) await client.query(begin);
        const cursor = client.query(new Cursor(text));
        await attempt(text, () => cursor.read(2));
        await attempt('again', () => cursor.read(10));
        await attempt('closed', () => cursor.close());
        await attempt('state', () => rowsOf(client, 'SELECT 1 AS works'));
        if (begin) await client.query('ROLLBACK');
      }
    }
  },

  async kinds_of_transactions(client) {
    for (const begin of ['BEGIN READ ONLY', 'BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE', 'START TRANSACTION ISOLATION LEVEL READ UNCOMMITTED']) {
      for (const name of ['transaction_isolation', 'transaction_read_only', 'transaction_deferrable']) {
        await client.query(begin);
        await attempt(`${begin}: ${name}`, () => rowsOf(client, `SHOW ${name}`));
        // A query takes the transaction's snapshot, if it keeps one: then it stays on that node.
        if (!begin.includes('SERIALIZABLE')) await attempt('function', () => rowsOf(client, 'SELECT current_setting($1) AS value', [name]));
        await attempt('write', () => rowsOf(client, 'INSERT INTO samples (user_id, name) VALUES ($1, $2) RETURNING name', [8201, 'w']));
        await client.query('ROLLBACK');
      }
    }
    await client.query('SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY');
    for (const user of [8201, 8202, 8203, 8204, 8205]) {
      await attempt('read', () => rowsOf(client, 'SELECT count(*) FROM samples WHERE user_id = $1', [user]));
      await attempt('refused', () => rowsOf(client, 'INSERT INTO samples (user_id, name) VALUES ($1, $2)', [user, 'w']));
    }
    await client.query('SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE');
    await attempt('begins at once', async () => {
      const results = await client.query('BEGIN READ ONLY; SELECT 1 AS one; SHOW transaction_read_only');
      await client.query('COMMIT');
      return results.map((result) => [result.command, result.rows]);
    });
  },

  async named_statements_after_errors(client) {
    const ask = (name, text, values) => attempt(name, async () => (await client.query({ name, text, values })).rows);
    for (let turn = 0; turn < 3; turn++) {
      await ask('divides', 'SELECT 10 / $1::int AS n', [turn]);
      await ask('keyed', 'SELECT count(*) FROM samples WHERE user_id = $1', [8210 + turn]);
      await ask('wrong', 'SELECT nothing FROM samples WHERE user_id = $1', [8210]);
      await ask('wrong value', 'SELECT number FROM samples WHERE user_id = 8210 AND number = $1', ['x']);
      await client.query('BEGIN');
      await ask('divides', 'SELECT 10 / $1::int AS n', [0]);
      await ask('keyed', 'SELECT count(*) FROM samples WHERE user_id = $1', [8210]);
      await client.query('ROLLBACK');
      await ask('keyed', 'SELECT count(*) FROM samples WHERE user_id = $1', [8210]);
      await ask('first in a transaction', 'SELECT $1::text AS said', ['hello']);
    }
  },

  async named_statement_whose_first_use_fails(client) {
    const ask = (values) => attempt('asked', async () => (await client.query({ name: 'late', text: 'SELECT number FROM late_table WHERE number = $1', values })).rows);
    await ask([1]);
    await client.query('CREATE TABLE late_table (number int)');
    await client.query('INSERT INTO late_table VALUES (1)');
    await ask([1]);
    await client.query('ALTER TABLE late_table ADD other text');
    await ask([1]);
    await client.query('DROP TABLE late_table');
    await ask([1]);
  },

  async notifications(client) {
    const sender = new Client();
    await sender.connect();
    const heard = [];
    let wanted = Infinity;
    let arrived;
    client.on('notification', ({ channel, payload }) => {
      heard.push([channel, payload]);
      if (heard.length >= wanted) arrived();
    });
    const hear = (count, ...statements) => new Promise((resolve, reject) => {
      const deadline = setTimeout(() => reject(new Error(`only ${JSON.stringify(heard)} heard`)), 10000);
      wanted = count;
      arrived = () => { clearTimeout(deadline); resolve(heard.splice(0)); };
      statements.reduce((before, text) => before.then(() => sender.query(text)), Promise.resolve()).catch(reject);
    });
    await client.query('LISTEN news');
    await attempt('heard', () => hear(2, "NOTIFY news, 'one'", "SELECT pg_notify('news', 'two')"));
    await attempt('in a transaction', () => hear(1, 'BEGIN', "NOTIFY news, 'three'", 'COMMIT'));
    await client.query('UNLISTEN news');
    await client.query('LISTEN other');
    await attempt('other', () => hear(1, "NOTIFY news, 'unheard'", "NOTIFY other, 'four'"));
    await sender.end();
  },

  async pool_drops_a_terminated_client() {
    const pool = new Pool({ max: 2 });
    pool.on('error', () => {});
    const client = await pool.connect();
    client.on('error', () => {});
    await client.query('BEGIN');
    await client.query('SELECT count(*) FROM numbers');
    const { pid } = (await client.query('SELECT pg_backend_pid() AS pid')).rows[0];
    await pool.query('SELECT pg_terminate_backend($1, 10000)', [pid]);
    let failed = false;
    try {
      await client.query('SELECT count(*) FROM numbers');
    } catch (error) {
      failed = true;
    }
    note('failed', failed);
    client.release(failed);
    note('works', await rowsOf(pool, 'SELECT count(*) FROM numbers'));
    await pool.end();
  },

  async two_phase(client) {
    for (const [end, table] of [['COMMIT', 'samples'], ['ROLLBACK', 'numbers_of']]) {
      await client.query('BEGIN');
      await attempt('write', async () => (await client.query(`INSERT INTO ${table} (user_id, name) VALUES (8220, 'x')`)).rowCount);
      await attempt('prepare', async () => (await client.query("PREPARE TRANSACTION 'by node'")).command);
      await attempt(end, async () => (await client.query(`${end} PREPARED 'by node'`)).command);
      await attempt('stored', () => rowsOf(client, `SELECT name FROM ${table} WHERE user_id = 8220`));
    }
  },
};

async function main() {
  for (const [name, run] of Object.entries(cases)) {
    if (process.argv[2] && process.argv[2] !== name) continue;
    const client = new Client();
    await client.connect();
    note('case', name);
    await run(client);
    await client.end();
  }
}

main().catch((error) => {
  console.error(error.stack);
  process.exit(1);
});
