"""What attackers and careless clients do around the login, compared with what PostgreSQL itself answers: malformed
start-up packets, second ones, lengths that lie, bytes behind an encryption request, SCRAM messages that do not fit, and
what a stranger can learn of who exists. The classes of the CVEs of 2021 to 2026 in PostgreSQL and its poolers are here.

Each exchange is told to the node directly and to Mosaic; what must agree is whether the client gets in, is told an
error (by SQLSTATE) or is closed without a word."""

import base64
import re
import struct
import unittest

import psycopg2

from harness import wire_client as wire
from harness.cluster import EndToEndTest
from harness.postgres_node import APP_PASSWORD
from harness.wire_client import ConnectionClosed, ServerError, WireClient

CLIENT_TYPES = "QPBDESXCHdcfpF"
LENGTHS = (-2 ** 31, -1, 0, 1, 2, 3, 2 ** 31 - 1, 2 ** 30)


def packet(body):
    return struct.pack("!i", len(body) + 4) + body


def startup(body, version=wire.PROTOCOL_3_0):
    return packet(struct.pack("!i", version) + body)


def request(code):
    return struct.pack("!ii", 8, code)


GOOD = b"user\0app\0database\0photos\0"


class HostileLogin(EndToEndTest):
    node_count = 1
    shards = 2
    needs_mosaic = True

    def connect(self, port=None, timeout_s=20):
        client = WireClient(port or self.cluster.port, timeout_s=timeout_s)
        self.addCleanup(client.close)
        return client

    def answer(self, data, port=None):
        """What the peer says until it closes after `data` and our end of file: bytes."""
        client = self.connect(port)
        try:
            client.send(data)
            client.socket.shutdown(1)
        except (ConnectionClosed, OSError):
            pass
        return client.take_close()

    @staticmethod
    def summary(answer):
        """The answer as a list: 'N', authentication codes, the SQLSTATE of an error."""
        shown = []
        while answer[:1] == b"N" and (len(answer) == 1 or answer[1:2] in b"NER"):
            shown.append("N")
            answer = answer[1:]
        while len(answer) >= 5:
            kind, length = struct.unpack_from("!ci", answer)
            body, answer = answer[5:1 + length], answer[1 + length:]
            if kind == b"E":
                shown.append(wire.error_fields(body).get("C"))
            elif kind == b"R":
                shown.append(struct.unpack_from("!i", body)[0])
            else:
                shown.append(kind.decode())
        return shown

    def assert_as_postgresql(self, data, what):
        direct = self.summary(self.answer(data, self.cluster.nodes[0].port))
        subject = self.summary(self.answer(data))
        self.assertEqual(subject, direct, f"{what}: {data[:80]!r}")
        return subject

    def assert_serves(self):
        with WireClient(self.cluster.port) as client:
            client.login()
            self.assertEqual(client.query("SELECT 1"), [("1",)])
        self.cluster.mosaic.assert_alive()

    def tearDown(self):
        self.assert_serves()

    # --- leaving

    def test_leaving_before_or_during_the_login_is_no_error(self):
        log = len(self.cluster.log_so_far())
        begun = startup(GOOD + b"\0")
        for what, data in (("nothing", b""), ("Terminate first", wire.TERMINATE), ("Terminate behind SSL", request(wire.SSL_REQUEST)),
                           ("half a length", b"\0\0"), ("half a packet", begun[:20]), ("after the packet", begun)):
            with self.subTest(what):
                answer = self.assert_as_postgresql(data, what)
                self.assertNotIn("08P01", answer)
        client = self.connect()
        client.send(request(wire.SSL_REQUEST))
        self.assertEqual(client.take_bytes(1), b"N")
        client.send(wire.TERMINATE)
        self.assertEqual(client.take_close(), b"")
        self.assert_serves()
        lines = [line for line in self.cluster.log_so_far()[log:].splitlines() if " event=console_" not in line]
        self.assertEqual([line for line in lines if not re.search(r" info \S+ event=(client|server)_", line)], [],
                         "nothing of it is worth a line")
        self.assertEqual(sum("event=client_connected" in line for line in lines), 1, "the one that was served")

    def test_terminate_instead_of_a_password_is_answered_as_by_postgresql(self):
        self.assert_as_postgresql(startup(GOOD + b"\0") + wire.TERMINATE, "Terminate in SASL")

    # --- the start-up packet

    def test_lengths_of_the_first_packet(self):
        for length in (-2 ** 31, -1, 0, 1, 3, 4, 5, 7, 10_001, 10 ** 6, 2 ** 31 - 1):
            with self.subTest(length=length):
                data = struct.pack("!i", length) + startup(GOOD + b"\0")[4:]
                self.assertEqual(self.assert_as_postgresql(data, "length"), [])

    def test_other_protocols_are_closed_without_a_word(self):
        for data in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"*1\r\n$4\r\nPING\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 500,
                     wire.query("SELECT 1"), wire.SYNC, b"\xff" * 64):
            with self.subTest(data[:16]):
                self.assertEqual(self.assert_as_postgresql(data, "protocol"), [])

    def test_malformed_parameter_lists(self):
        cases = {
            "no list": b"", "two terminators": GOOD + b"\0\0", "no terminator": GOOD, "bytes behind": GOOD + b"\0x",
            "name without value": GOOD + b"geqo\0", "name without end": GOOD + b"geqo", "value without end": GOOD + b"geqo\0off",
            "odd number of strings": GOOD + b"geqo\0\0", "empty name first": b"\0on\0" + GOOD + b"\0", "empty name last": GOOD + b"\0on\0\0",
            "only an empty name": b"\0\0\0", "no user": b"database\0photos\0\0", "empty user": b"user\0\0database\0photos\0\0",
            "nul in a value": b"user\0app\0\0database\0photos\0\0", "user twice": b"user\0nobody\0" + GOOD + b"\0",
        }
        for what, body in cases.items():
            with self.subTest(what):
                answer = self.assert_as_postgresql(startup(body), what)
                self.assertTrue(answer, what)

    def test_thousands_of_parameters_and_long_ones(self):
        many = b"".join(b"a.b%d\0\0" % number for number in range(10_000))
        self.assertEqual(self.assert_as_postgresql(startup(GOOD + many + b"\0"), "10,000 parameters"), [])
        for body in (GOOD + b"a.b\0" + b"x" * 9_000 + b"\0\0", GOOD + b"".join(b"a.%d\0v\0" % n for n in range(900)) + b"\0",
                     b"user\0" + b"u" * 9_000 + b"\0database\0photos\0\0"):
            with self.subTest(len(body)):
                self.assertEqual(self.assert_as_postgresql(startup(body), "long"), [10])

    def test_versions(self):
        for version in (1, 2 << 16):  # PostgreSQL refuses these in the form of their time, without a length
            self.assertEqual(self.answer(startup(GOOD + b"\0", version))[:1], b"E")
        for version in (0, 4 << 16, 0x7fffffff, (1234 << 16) | 5681):
            with self.subTest(version=version):
                self.assertEqual(self.assert_as_postgresql(startup(GOOD + b"\0", version), "version"), ["0A000"])

    def test_options_are_no_way_around(self):
        for name, value in (("session_authorization", "postgres"), ("role", "postgres"), ("is_superuser", "on"), ("no.\x01such thing", "x"),
                            ("search_path", "x'; DROP TABLE users; --"), ("application_name", "'; SELECT 1; --"),
                            ("options", "-c session_authorization=postgres"), ("options", "-c search_path=\\ x --role=postgres")):
            with self.subTest(name=name, value=value):
                outcomes = []
                for port in (self.cluster.nodes[0].port, self.cluster.port):
                    client = self.connect(port)
                    try:
                        client.login(**{name: value})
                        outcomes.append(client.query("SELECT session_user, current_user, current_setting('is_superuser')"))
                    except ServerError as error:
                        outcomes.append(error.sqlstate)
                self.assertEqual(outcomes[1], outcomes[0])

    # --- encryption requests

    def test_bytes_behind_an_encryption_request(self):
        # CVE-2021-23222: what a man in the middle put there must not count as the client's.
        for code in (wire.SSL_REQUEST, wire.GSSENC_REQUEST):
            for more in (startup(GOOD + b"\0"), b"x", request(wire.SSL_REQUEST), b"\0"):
                with self.subTest(code=code, more=more[:8]):
                    answer = self.summary(self.answer(request(code) + more))
                    self.assertEqual(answer[-1], "08P01")
                    self.assertNotIn(10, answer)

    def test_encryption_requests_twice(self):
        for first, second in ((wire.SSL_REQUEST, wire.SSL_REQUEST), (wire.GSSENC_REQUEST, wire.GSSENC_REQUEST)):
            client = self.connect()
            client.send(request(first))
            self.assertEqual(client.take_bytes(1), b"N")
            client.send(request(second))
            self.assertEqual(client.take_close()[:1], b"E")

    # --- SCRAM

    def begin(self, port=None, user="app"):
        client = self.connect(port)
        client.send(wire.startup_packet(user=user, database="photos"))
        kind, body = client.take_frame()
        self.assertEqual((kind, struct.unpack_from("!i", body)[0]), ("R", 10))
        return client

    @staticmethod
    def initial(message, mechanism="SCRAM-SHA-256", length=None):
        return wire.frame("p", wire.text(mechanism) + struct.pack("!i", len(message) if length is None else length) + message)

    def end_of(self, client):
        return self.summary(client.take_close())

    def compare(self, what, tell):
        """`tell(client)` sends what follows AuthenticationSASL; both must end the login with the same SQLSTATE."""
        ends = []
        for port in (self.cluster.nodes[0].port, self.cluster.port):
            client = self.begin(port)
            try:
                tell(client)
                client.socket.shutdown(1)
            except (ConnectionClosed, OSError):
                pass
            ends.append(self.end_of(client))
        self.assertEqual(ends[1], ends[0], what)
        self.assertNotIn(0, ends[1], what)
        return ends[1]

    def test_a_second_start_up_message_during_scram(self):
        # A pooler that takes it would let the second user in with the first one's password.
        other = wire.startup_packet(user="postgres", database="photos")
        for packet_again in (other, wire.startup_packet(user="app", database="photos"), request(wire.SSL_REQUEST),
                             struct.pack("!iiii", 16, wire.CANCEL_REQUEST, 1, 2)):
            with self.subTest(packet_again[:8]):
                self.assertEqual(self.compare("instead of the first message", lambda client: client.send(packet_again)), ["08P01"])

                def behind_the_first(client):
                    client.send(self.initial(b"n,,n=,r=abcdefghijklmnop"))
                    client.take_frame()
                    client.send(packet_again)
                self.assertEqual(self.compare("instead of the final message", behind_the_first), ["08P01"])
        client = self.connect()
        client.login()
        client.send(other)  # after the login: a message of type 0
        self.assertIn("08P01", self.end_of(client))

    def test_first_messages_that_do_not_fit(self):
        nonce = b"r=abcdefghijklmnop"
        for what, first in {
            "empty": b"", "no flag": b"n=," + nonce, "flag p": b"p=tls-server-end-point,,n=," + nonce, "flag p, no name": b"p,,n=," + nonce,
            "flag x": b"x,,n=," + nonce, "flag n=": b"n=,,n=," + nonce, "authzid": b"n,a=postgres,n=," + nonce, "no nonce": b"n,,n=",
            "no name": b"n,," + nonce, "extension m": b"n,,m=x,n=," + nonce, "nonce not printable": b"n,,n=,r=ab\x01cd", "empty nonce": b"n,,n=,r=",
            "nul": b"n,,n=,r=abc\0def", "only the flag": b"n", "upper case": b"N,,N=,R=abc",
        }.items():
            with self.subTest(what):
                self.compare(what, lambda client: client.send(self.initial(first)))

    def test_lengths_and_mechanisms_that_do_not_fit(self):
        first = b"n,,n=,r=abcdefghijklmnop"
        for what, message in {
            "shorter": self.initial(first, length=5), "longer": self.initial(first, length=100), "negative": self.initial(first, length=-2),
            "huge": self.initial(first, length=2 ** 31 - 1), "no length": wire.frame("p", wire.text("SCRAM-SHA-256")), "empty": wire.frame("p"),
            "no end of the name": wire.frame("p", b"SCRAM-SHA-256"), "PLUS without TLS": self.initial(first, "SCRAM-SHA-256-PLUS"),
            "SHA-1": self.initial(first, "SCRAM-SHA-1"), "empty name": self.initial(first, ""), "lower case": self.initial(first, "scram-sha-256"),
            "password in the clear": wire.frame("p", b"app\0"), "a query": wire.query("SELECT 1"), "type 0": b"\0\0\0\0\x04",
            "too long": wire.frame("p", b"x" * 70_000),
        }.items():
            with self.subTest(what):
                self.compare(what, lambda client: client.send(message))

    def test_lengths_of_messages_during_scram(self):
        for length in LENGTHS:
            with self.subTest(length=length):
                header = b"p" + struct.pack("!i", length)
                self.compare("first", lambda client: client.send(header + b"x" * 64))

                def final(client):
                    client.send(self.initial(b"n,,n=,r=abcdefghijklmnop"))
                    client.take_frame()
                    client.send(header + b"x" * 64)
                self.compare("final", final)

    def test_final_messages_that_do_not_fit(self):
        proof = base64.b64encode(b"\0" * 32)

        def with_final(make):
            def tell(client):
                client.send(self.initial(b"n,,n=,r=abcdefghijklmnop"))
                server_first = client.take_frame().body[4:]
                nonce = server_first.split(b",")[0][2:]
                client.send(wire.frame("p", make(nonce)))
            return tell
        for what, make in {
            "empty": lambda nonce: b"", "no binding": lambda nonce: b"r=" + nonce + b",p=" + proof, "binding y": lambda nonce: b"c=eSws,r=" + nonce + b",p=" + proof,
            "binding p": lambda nonce: b"c=cD10bHM=,r=" + nonce + b",p=" + proof, "client's nonce alone": lambda nonce: b"c=biws,r=abcdefghijklmnop,p=" + proof,
            "another nonce": lambda nonce: b"c=biws,r=" + nonce[:-1] + b"!,p=" + proof, "no nonce": lambda nonce: b"c=biws,p=" + proof,
            "no proof": lambda nonce: b"c=biws,r=" + nonce, "short proof": lambda nonce: b"c=biws,r=" + nonce + b",p=AAAA",
            "long proof": lambda nonce: b"c=biws,r=" + nonce + b",p=" + base64.b64encode(b"\0" * 33), "no base64": lambda nonce: b"c=biws,r=" + nonce + b",p=" + b"!" * 44,
            "bytes behind the proof": lambda nonce: b"c=biws,r=" + nonce + b",p=" + proof + b",x=y", "extra attribute": lambda nonce: b"c=biws,r=" + nonce + b",x=y,p=" + proof,
            "wrong proof": lambda nonce: b"c=biws,r=" + nonce + b",p=" + proof, "nul in it": lambda nonce: b"c=biws,r=" + nonce + b"\0,p=" + proof,
            "the iterations": lambda nonce: b"c=biws,r=" + nonce + b",i=1,p=" + proof,
        }.items():
            with self.subTest(what):
                self.assertIn(self.compare(what, with_final(make)), (["08P01"], ["28P01"]))

    def test_channel_binding_flag_y_gets_in(self):
        # "I could, and you do not offer it": true without TLS.
        for header, binding in ((b"n,,", "biws"), (b"y,,", "eSws")):
            client = self.begin()
            self.log_in_with(client, header, binding)
            self.assertEqual(client.query("SELECT 1"), [("1",)])

    def log_in_with(self, client, header, binding):
        import hashlib
        import hmac
        bare = b"n=,r=abcdefghijklmnop"
        client.send(self.initial(header + bare))
        server_first = client.take_frame().body[4:]
        fields = dict(part.split("=", 1) for part in server_first.decode().split(","))
        salted = hashlib.pbkdf2_hmac("sha256", APP_PASSWORD.encode(), base64.b64decode(fields["s"]), int(fields["i"]))
        key = hmac.digest(salted, b"Client Key", "sha256")
        unsigned = f"c={binding},r={fields['r']}".encode()
        signature = hmac.digest(hashlib.sha256(key).digest(), bare + b"," + server_first + b"," + unsigned, "sha256")
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature)))
        client.send(wire.frame("p", unsigned + b",p=" + proof))
        client.take_until("Z")

    # --- after the login

    def test_lengths_of_every_message_after_the_login(self):
        for kind in CLIENT_TYPES:
            for length in LENGTHS:
                with self.subTest(kind=kind, length=length):
                    client = self.connect()
                    client.login()
                    try:
                        client.send(kind.encode() + struct.pack("!i", length) + b"some bytes")
                        client.socket.shutdown(1)
                    except (ConnectionClosed, OSError):
                        pass
                    self.assertNotIn(b"Z", client.take_close()[:1])

    # --- cancel requests

    def test_cancel_requests_of_any_form_are_closed_without_a_word_or_with_an_error(self):
        victim = self.connect()
        victim.login()
        process, secret = victim.backend_key
        with self.cluster.held_back(1):
            victim.send(wire.query("/* mosaic user_id=1 */ SELECT pg_advisory_xact_lock(1), 'undisturbed'"))
            self.cluster.wait_for_active("undisturbed")
            for body in (b"", struct.pack("!i", process), struct.pack("!iib", process, secret, 0),
                         struct.pack("!ii", process, secret) + b"x" * 200, struct.pack("!ii", process ^ 1, secret),
                         struct.pack("!ii", secret, process), struct.pack("!ii", 0, 0)):
                with self.subTest(len(body)):
                    self.assertIn(self.answer(packet(struct.pack("!i", wire.CANCEL_REQUEST) + body))[:1], (b"", b"E"))
            self.cluster.wait_until_no_cancel_runs()
        self.assertEqual(victim.rows(victim.take_reply()), [("", "undisturbed")])


class WhoIsWho(EndToEndTest):
    """What is told to one user is not another's, and what a stranger may know does not change."""
    node_count = 1
    shards = 2
    needs_mosaic = True
    config = {"mosaic": {"workers": 1}}

    ROLES = {"app": "app", "second": "second", "tokyo": "tokyo", "boss": "boss"}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        node = cls.cluster.nodes[0]
        for role in ("second", "tokyo", "boss"):
            node.query(f"CREATE ROLE {role} LOGIN {'SUPERUSER' if role == 'boss' else ''} PASSWORD '{role}'")
        node.query("ALTER ROLE tokyo SET timezone = 'Asia/Tokyo'")
        node.query("ALTER ROLE tokyo SET datestyle = 'German'")
        secret, = node.query("SELECT rolpassword FROM pg_authid WHERE rolname = 'second'")[0]
        with open(cls.cluster.users_path, "a") as users:
            users.write('"tokyo" "tokyo"\n"boss" "boss"\n"second" "second"\n' + f'"stored" "{secret}"\n')
        cls.cluster.mosaic.clean_stop()
        cls.cluster.mosaic.start()

    def told(self, port, user, **parameters):
        with WireClient(port) as client:
            client.login(user, user, **parameters)
            return client.parameters

    def test_each_user_is_told_his_own_parameters(self):
        for parameters in ({}, {"application_name": "x"}, {"DateStyle": "SQL, DMY"}, {"options": "-c intervalstyle=iso_8601"}):
            for user in ("boss", "app", "tokyo", "second", "app", "boss", "tokyo"):
                with self.subTest(user=user, parameters=parameters):
                    self.assertEqual(self.told(self.cluster.port, user, **parameters),
                                     self.told(self.cluster.nodes[0].port, user, **parameters))

    def test_discard_all_tells_the_users_own_parameters(self):
        self.told(self.cluster.port, "boss")
        for user in ("app", "tokyo"):
            with WireClient(self.cluster.port) as client:
                client.login(user, user)
                before = dict(client.parameters)
                client.query("SET datestyle = 'SQL, DMY'")
                client.query("DISCARD ALL")
                self.assertEqual(client.parameters, before)

    def challenge(self, user):
        """The salt and the iterations that a user is asked with."""
        with WireClient(self.cluster.port) as client:
            client.send(wire.startup_packet(user=user, database="photos"))
            client.take_frame()
            first = b"n,,n=,r=abcdefghijklmnop"
            client.send(wire.frame("p", wire.text("SCRAM-SHA-256") + struct.pack("!i", len(first)) + first))
            return client.take_frame().body[4:].split(b",")[1:]

    def test_no_challenge_changes_over_a_restart(self):
        users = ("app", "stored", "nobody", "postgres", "x" * 60, "\u00fc")
        before = {user: self.challenge(user) for user in users}
        self.assertEqual(len({tuple(asked) for asked in before.values()}), len(users))
        self.assertEqual(len({(len(salt), iterations) for salt, iterations in before.values()}), 1)
        for _ in range(2):
            self.cluster.mosaic.clean_stop()
            self.cluster.mosaic.start()
            self.assertEqual({user: self.challenge(user) for user in users}, before)
        self.cluster.console("RELOAD")
        self.assertEqual({user: self.challenge(user) for user in users}, before)


class PreparedPasswords(EndToEndTest):
    """Passwords that SASLprep changes, or refuses to: who gets into PostgreSQL gets into Mosaic, and nobody else."""
    node_count = 1
    shards = 2
    needs_mosaic = True

    # Spellings of one password each, then some that are no spelling of it.
    FAMILIES = (
        ("caf\u00e9", "cafe\u0301"), ("a b", "a\u00a0b", "a\u3000b", "a\u2003b"), ("pass", "\uff50\uff41\uff53\uff53", "pa\u00adss", "pa\u200dss"),
        ("office", "o\ufb03ce"), ("\u00c5ngstrom", "\u212bngstrom", "A\u030angstrom"), ("IX", "\u2168"), ("\uac00", "\u1100\u1161"),
        ("\u30ac", "\uff76\uff9e"), ("1", "\u2460"), ("q\u0323\u0307", "q\u0307\u0323"), ("\u05d0\u05d1",), ("\u05d0a\u00aa",), ("\U0001f600e\u0301",), ("\u00ad",),
        ("e\u0301\u0080",), ("\u0660\u0661",), ("a\u0660",), ("\u0627\u0031",), ("\u0627\u0031\u0628",), ("\u01c4", "D\u017d", "DZ\u030c"), ("\ufdfa",),
        ("\u1e9b\u0323",), ("\u0344", "\u0308\u0301"), ("\u2f868",), ("\U0002f868",), ("\U0002f874",), ("\U0002f91f",), ("\U0002f95f",), ("\U0002f9bf",),
        ("\u09c7\u09be",), ("\u1e9e",), ("\u0221",), ("\ua64a",), ("x\u0340",), ("\u0f43",), ("\u2126", "\u03a9"), ("\u00bd",), ("\u33a5",), ("\u3164",),
    )

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        node = cls.cluster.nodes[0]
        cls.users = []
        with open(cls.cluster.users_path, "a") as users:
            for number, family in enumerate(cls.FAMILIES):
                for spelling, password in enumerate(family):
                    user = f"p{number}_{spelling}"
                    node.query(f"CREATE ROLE {user} LOGIN PASSWORD %s", (password,))
                    users.write(f'"{user}" "{password}"\n')
                    cls.users.append((user, family))
        cls.cluster.mosaic.clean_stop()
        cls.cluster.mosaic.start()

    def gets_in(self, port, user, password):
        try:
            connection = psycopg2.connect(host="127.0.0.1", port=port, dbname="photos", user=user, password=password, connect_timeout=20)
        except psycopg2.OperationalError:
            return False
        try:
            with connection.cursor() as cursor:  # the node's login by Mosaic has to be right too
                cursor.execute("SELECT session_user")
                return cursor.fetchone()[0] == user
        finally:
            connection.close()

    def raw_gets_in(self, port, user, password):
        """The same without a client library that prepares the password."""
        with WireClient(port) as client:
            try:
                client.login(user, password)
                return True
            except ServerError:
                return False

    def test_every_spelling_gets_in_as_with_postgresql(self):
        node = self.cluster.nodes[0]
        for user, family in self.users:
            for password in (*family, family[0] + "x"):
                with self.subTest(user=user, password=ascii(password)):
                    direct = self.gets_in(node.port, user, password)
                    self.assertEqual(self.gets_in(self.cluster.port, user, password), direct)
                    self.assertEqual(direct, password in family)
                    self.assertEqual(self.raw_gets_in(self.cluster.port, user, password), self.raw_gets_in(node.port, user, password))


if __name__ == "__main__":
    unittest.main()
