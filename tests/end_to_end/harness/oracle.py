"""A cluster with a plain PostgreSQL as its judge, and conversations that must go alike on both.

OracleTest adds to the demo's schema what oracle.sql holds, the functions that leave traces (TRACES, in `public` of every
node and of the judge), a trigger that does what a row says (table hooks), a schema `audit` with a table media of its own,
and the roles low, high and boss (a superuser whom clients may log in as). `check` runs one conversation on both sides, the
judge first, each with keys of its own, and compares every frame by the rules of pair.py, less known_differences.py.
"""

import contextlib
import itertools
import os

from . import dialogue
from .cluster import SOURCE, Cluster, EndToEndTest, is_plain
from .dialogue import Message, Q, Speaker
from .known_differences import is_known
from .pair import Difference
from .processes import wait_until
from .traces import ask_all, leftovers

ROLES = """
CREATE ROLE low; CREATE ROLE high; GRANT low, high TO app;
CREATE ROLE boss LOGIN SUPERUSER PASSWORD 'boss';
"""

# Each leaves one kind of trace in its session; run_text does whatever it is told, so nobody can know beforehand.
TRACES = """
CREATE SCHEMA audit;
CREATE TABLE audit.media (user_id bigint, caption text);
INSERT INTO audit.media SELECT n, 'from audit' FROM generate_series(5000, 9000) n;
GRANT USAGE ON SCHEMA audit TO PUBLIC;
GRANT SELECT ON audit.media TO PUBLIC;
CREATE SEQUENCE counted;
GRANT ALL ON SEQUENCE counted TO PUBLIC;
GRANT CREATE ON SCHEMA public TO low, high;
CREATE FUNCTION become(tenant text) RETURNS text LANGUAGE sql AS $$ SELECT set_config('app.tenant', tenant, false) $$;
CREATE FUNCTION become_role(role text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN set_config('role', role, false); END $$;
CREATE FUNCTION hold(key bigint) RETURNS void LANGUAGE sql AS $$ SELECT pg_advisory_lock(key) $$;
CREATE FUNCTION listen_to(channel text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'LISTEN ' || quote_ident(channel); END $$;
CREATE FUNCTION put_aside() RETURNS void LANGUAGE plpgsql AS $$
  BEGIN CREATE TEMPORARY TABLE aside (secret text); INSERT INTO aside VALUES ('mine'); END $$;
CREATE FUNCTION count_on() RETURNS boolean LANGUAGE sql AS $$ SELECT nextval('public.counted') > 0 $$;
CREATE FUNCTION run_text(what text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE what; END $$;
CREATE FUNCTION harmless(n integer) RETURNS integer LANGUAGE sql IMMUTABLE AS $$ SELECT n + 1 $$;
CREATE PROCEDURE act(what text) LANGUAGE plpgsql AS $$ BEGIN EXECUTE what; END $$;
CREATE PROCEDURE act_and_commit(what text) LANGUAGE plpgsql AS $$ BEGIN EXECUTE what; COMMIT; END $$;
CREATE FUNCTION on_hook() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN EXECUTE NEW.what; RETURN NEW; END $$;
"""
_HOOK = "CREATE TRIGGER hook BEFORE INSERT OR UPDATE ON {}.hooks FOR EACH ROW EXECUTE FUNCTION public.on_hook()"

TABLES = {"labels": "name", "codes": "code", "stamps": "code", "tokens": "token", "notes": "owner_id",
          "Line Items": "User Id",
          "slots": "user_id", "hooks": "user_id", "stamped": "user_id"}
BEFORE_CASES = 5000  # keys of cases begin here


def add_oracle_schema(cluster):
    """Call it between Cluster() and start(): tables and users that oracle.sql and ROLES speak of."""
    for table, key in TABLES.items():
        cluster.sections[f'tables."{table}"' if " " in table else f"tables.{table}"] = {"key": key}
    cluster.sections["database"]["application_users"] = ["app", "low", "high"]
    cluster.write_files()
    with open(cluster.users_path, "a") as users:
        users.write('"boss" "boss"\n')
    with open(cluster.schema_path, "a") as schema, open(os.path.join(SOURCE, "oracle.sql")) as more:
        schema.write(more.read())


def start_with_reference(cluster, run=True):
    """Starts nodes, roles, init, the judge and Mosaic; returns the judge's address."""
    cluster.start_nodes()
    for node in cluster.nodes:
        node.query(ROLES)
    cluster.initialise()
    for node in cluster.nodes:
        node.query(TRACES)
        for shard in [] if is_plain() else cluster.shards_on(node):
            node.query(_HOOK.format(f"shard_{shard:04}"))
    if is_plain():
        cluster.nodes[0].query(_HOOK.format("public"))
    reference = cluster.create_reference()
    judge = cluster.nodes[0]
    judge.query(TRACES + _HOOK.format("public"), database=reference["dbname"])
    for database in [reference["dbname"]] + (["photos"] if is_plain() else []):
        judge.query("GRANT ALL ON ALL TABLES IN SCHEMA public TO low, high; "
                    "GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO low, high", database=database)
    if run and not is_plain():
        cluster.mosaic.start()
    return reference


class OracleTest(EndToEndTest):
    """`pool` server connections per node, one worker: whoever looks at that many sessions has seen all."""

    node_count = 2
    shards = 8
    pool = 2
    config = {}

    @classmethod
    def setUpClass(cls):
        config = {section: dict(values) for section, values in cls.config.items()}
        config.setdefault("pool", {}).setdefault("default_pool_size", cls.pool)
        config.setdefault("mosaic", {}).setdefault("workers", 1)
        cls.cluster = Cluster(1 if is_plain() else cls.node_count, cls.shards, config)
        cls.addClassCleanup(cls.cluster.stop)
        add_oracle_schema(cls.cluster)
        cls.reference = start_with_reference(cls.cluster)
        cls.keys = itertools.count()
        cls.near, cls.far = cls._users()

    @classmethod
    def _users(cls):
        """Keys on the last node (which is not the default node), and on the first."""
        if is_plain():
            everywhere = list(range(BEFORE_CASES, BEFORE_CASES + 4000))
            return everywhere[::2], everywhere[1::2]
        nodes = cls.cluster.nodes
        return (cls.cluster.users_on(node, 2000, BEFORE_CASES) for node in (nodes[-1], nodes[0]))

    def fresh_keys(self):
        """u and v: two users on the last node; w: one on the first (on another node than u, where there are two)."""
        number = next(self.keys)
        return {"u": self.near[2 * number], "v": self.near[2 * number + 1], "w": self.far[-1 - number]}

    def address(self, user="app"):
        return self.cluster.address(user)

    def judge_address(self, user="app"):
        return dict(self.reference, user=user, password=user)

    def check(self, *steps, user="app", keys=None, prepare=True, **parameters):
        """Says the steps to both and compares. A step: a text (a simple query), a Message, a list of them, or a function
        that is given the Speaker. Each conversation finds three rows of user u and none of the others."""
        keys = keys or self.fresh_keys()
        if prepare:
            steps = ("INSERT INTO samples (user_id, name, number) SELECT {u}, 'n' || n, n FROM generate_series(1, 3) n",
                     *steps)
        heard = []
        for address in (self.judge_address(user), self.address(user)):
            speaker = Speaker(address, keys, **parameters)
            self.addCleanup(speaker.leave)
            heard.append([])
            for step in steps:
                if callable(step):
                    heard[-1].append((step(speaker) or [], step))
                else:
                    heard[-1].append((speaker.say(as_messages(step)), step))
                if speaker.is_closed:
                    break
            speaker.leave()
        self.compare(*heard, keys)

    def compare(self, direct, subject, keys):
        for heard, step in direct:
            if dialogue.SILENCE in heard:
                raise AssertionError(f"PostgreSQL owes nothing more for {step}: what is owed is counted wrong here\n{dialogue.shown(heard)}")
        story = []
        for number in range(max(len(direct), len(subject))):
            left = direct[number] if number < len(direct) else ([], "(was closed)")
            right = subject[number] if number < len(subject) else ([], "(was closed)")
            step = left[1] if number < len(direct) else right[1]
            spoken = getattr(step, "__name__", None) or " ".join(map(str, as_messages(step)))
            if left[0] != right[0] and not is_known(spoken, left[0], right[0]):
                apart = dialogue.parameters_apart(left[0], right[0])
                raise Difference("\n  ".join(["after", *story, f"{spoken}   {keys}",
                                              *([f"parameters (PostgreSQL, Mosaic): {apart}"] if apart else
                                                [f"PostgreSQL: {dialogue.shown(left[0])}",
                                                 f"Mosaic:     {dialogue.shown(right[0])}"])]))
            story.append(spoken)

    def assert_nothing_is_left(self, user="app"):
        """Fresh clients look into every server session that `user` has, on every node."""
        judge = Speaker(self.judge_address(user))
        judge.say([Q("BEGIN")])
        fresh = ask_all(judge)
        judge.leave()
        users = [self.near[0]] if is_plain() or self.node_count == 1 else [self.near[0], self.far[0]]
        self.assertEqual(leftovers(self.address(user), fresh, users, self.pool), [])

    @contextlib.contextmanager
    def case(self, about):
        """A sub-test that leaves the next one a Mosaic with new server sessions, should this one have spoiled them."""
        with self.subTest(about=about):
            try:
                yield
            except BaseException:
                self.renew_mosaic()
                raise

    def renew_mosaic(self):
        if is_plain():
            return
        self.cluster.mosaic.kill()
        for node in self.cluster.nodes:
            wait_until(lambda: not node.query("SELECT 1 FROM pg_stat_activity WHERE backend_type = 'client backend' AND "
                                              "datname = 'photos' AND pid <> pg_backend_pid()"), "Mosaic's sessions to end")
        self.cluster.mosaic.start()

    def check_each(self, cases, **parameters):
        """{what it is about: steps}, each in a conversation of its own."""
        for about, steps in cases.items():
            with self.case(about):
                self.check(*steps, **parameters)


def by_another(*steps):
    """A step: a client of its own says these, and leaves."""
    def said_by_another(speaker):
        other = speaker.another()
        heard = [part for step in steps for part in other.say(as_messages(step))]
        other.leave()
        return heard
    said_by_another.__name__ = f"by another client: {steps}"
    return said_by_another


def as_messages(step):
    if isinstance(step, (str, bytes)):
        return [Q(step)]
    if isinstance(step, Message):
        return [step]
    return list(itertools.chain.from_iterable(as_messages(part) if isinstance(part, list) else [part] for part in step))
