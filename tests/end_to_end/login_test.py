"""Who gets in, who does not, and what a stranger can learn from the refusal."""

import struct
import unittest

from harness import wire_client as wire
from harness.cluster import EndToEndTest
from harness.wire_client import ConnectionClosed, ServerError, WireClient


class Login(EndToEndTest):
    node_count = 1
    shards = 4
    needs_mosaic = True

    def client(self):
        client = WireClient(self.cluster.port, timeout_s=20)
        self.addCleanup(client.close)
        return client

    def refusal(self, **login):
        """The ErrorResponse that ends a login, after which the connection must be closed."""
        client = self.client()
        with self.assertRaises(ServerError) as caught:
            client.login(**login)
        self.assertEqual(client.take_close(), b"")
        return caught.exception

    def conversation(self, user, password):
        """Every frame of a refused login, with the nonce and the salt blotted out (their lengths stay)."""
        client = self.client()
        client.send(wire.startup_packet(user=user, database="photos"))
        frames = []
        take_frame = client.take_frame

        def recording():
            frames.append(take_frame())
            return frames[-1]
        client.take_frame = recording
        with self.assertRaises(ServerError):
            client.authenticate(password)
        self.assertEqual(client.take_close(), b"")
        shown = []
        for kind, body in frames:
            if kind == "R" and struct.unpack_from("!i", body)[0] == 11:
                fields = dict(part.split("=", 1) for part in body[4:].decode().split(","))
                shown.append((kind, len(fields["r"]), len(fields["s"]), fields["i"]))
            else:
                shown.append((kind, body))
        return shown

    def test_right_password_gets_in(self):
        client = self.client().login(application_name="e2e login")
        self.assertEqual(client.query("SHOW application_name"), [("e2e login",)])
        self.assertEqual(client.parameters["application_name"], "e2e login")
        self.assertLessEqual({"server_version", "client_encoding", "DateStyle", "TimeZone", "integer_datetimes",
                              "standard_conforming_strings", "session_authorization"}, set(client.parameters))
        self.assertIsNotNone(client.backend_key)

    def test_wrong_password_and_unknown_user_are_indistinguishable(self):
        known, unknown = self.conversation("app", "wrong"), self.conversation("nobody_here", "wrong")
        # The message names the user who asked, as PostgreSQL's does.
        self.assertEqual([(kind, *(part.replace(b'"nobody_here"', b'"app"') if isinstance(part, bytes) else part for part in rest))
                          for kind, *rest in unknown], known)
        self.assertEqual([frame[0] for frame in known], ["R", "R", "E"])
        self.assertIn(b"C28P01\0", known[-1][1])

    def test_salt_of_an_unknown_user_does_not_change(self):
        def salt():
            client = self.client()
            client.send(wire.startup_packet(user="nobody_here", database="photos"))
            client.take_frame()
            first = b"n,,n=,r=abcdefghijklmnop"
            client.send(wire.frame("p", wire.text("SCRAM-SHA-256") + struct.pack("!i", len(first)) + first))
            return client.take_frame().body.split(b",")[1]
        self.assertEqual(salt(), salt())

    def test_unknown_database_is_named_to_who_may_know(self):
        self.assertEqual(self.refusal(database="nowhere").sqlstate, "3D000")
        self.assertIn("nowhere", self.refusal(database="nowhere").message)
        self.assertEqual(self.refusal(database="nowhere", password="wrong").sqlstate, "28P01")

    def test_database_defaults_to_the_user_name(self):
        client = self.client()
        client.send(wire.startup_packet(user="app"))
        with self.assertRaises(ServerError) as caught:
            client.authenticate("app")
            for frame in client.take_until("ZE"):
                if frame.type == "E":
                    raise ServerError(wire.error_fields(frame.body))
        self.assertEqual(caught.exception.sqlstate, "3D000")

    def test_startup_parameters_are_the_session_defaults(self):
        client = self.client().login(TimeZone="Asia/Tokyo", DateStyle="German", options="-c statement_timeout=12345")
        self.assertEqual(client.query("SHOW timezone"), [("Asia/Tokyo",)])
        self.assertEqual(client.query("SHOW statement_timeout"), [("12345ms",)])
        self.assertEqual(client.parameters["TimeZone"], "Asia/Tokyo")
        client.query("SET timezone = 'UTC'")
        client.query("RESET timezone")
        self.assertEqual(client.query("SELECT current_setting('timezone') FROM "
                                      "(SELECT count(*) FROM users WHERE user_id = 1) one"), [("Asia/Tokyo",)])

    def test_encryption_requests_are_declined_and_the_login_goes_on(self):
        client = self.client()
        for code in (wire.GSSENC_REQUEST, wire.SSL_REQUEST):
            client.send(struct.pack("!ii", 8, code))
            self.assertEqual(client.take_bytes(1), b"N")
        client.login()
        self.assertEqual(client.query("SELECT 1"), [("1",)])

    def test_newer_minor_version_is_negotiated_down(self):
        client = self.client()
        body = struct.pack("!i", 0x00030002) + b"user\0app\0database\0photos\0_pq_.unknown\0on\0\0"
        client.send(struct.pack("!i", len(body) + 4) + body)
        kind, answer = client.take_frame()
        self.assertEqual((kind, struct.unpack_from("!ii", answer)), ("v", (0x00030000, 1)))
        self.assertEqual(answer[8:], b"_pq_.unknown\0")
        client.authenticate("app")
        client.take_until("Z")

    def test_older_protocol_is_refused(self):
        client = self.client()
        client.send(struct.pack("!ii", 8, 0x00020000))
        self.assertIn(b"unsupported frontend protocol", client.take_close())

    def test_login_one_byte_at_a_time(self):
        client = self.client()
        send_whole = client.send
        client.send = lambda *messages: [send_whole(bytes([byte])) for byte in b"".join(messages)]
        client.login()
        client.send(wire.query("SELECT 1"))
        client.send = send_whole
        self.assertEqual(client.rows(client.take_reply()), [("1",)])

    def test_login_and_first_statement_in_one_write(self):
        # Nothing forbids a client to send its first query before it has seen ReadyForQuery.
        client = self.client()
        client.send(wire.startup_packet(user="app", database="photos"))
        send = client.send
        client.send = lambda message: send(message, wire.query("SELECT 2")) if b"c=biws" in message else send(message)
        client.authenticate("app")
        client.take_until("Z")
        self.assertEqual(client.rows(client.take_reply()), [("2",)])

    def test_password_message_of_the_wrong_kind_is_refused(self):
        for answer in (wire.frame("p", b"app\0"), wire.frame("Q", b"SELECT 1\0"),
                       wire.frame("p", wire.text("SCRAM-SHA-1") + struct.pack("!i", -1)),
                       wire.frame("p", wire.text("SCRAM-SHA-256") + struct.pack("!i", 100) + b"n,,n=")):
            with self.subTest(answer=answer):
                client = self.client()
                client.send(wire.startup_packet(user="app", database="photos"))
                self.assertEqual(client.take_frame().type, "R")
                client.send(answer)
                self.assertEqual(client.take_close()[:1], b"E")

    def test_cancel_with_a_wrong_key_cancels_nothing(self):
        victim = self.client().login()
        with self.cluster.held_back(1):
            victim.send(wire.query("/* mosaic user_id=1 */ SELECT pg_advisory_xact_lock(1), 'undisturbed'"))
            self.cluster.wait_for_active("undisturbed")
            process, secret = victim.backend_key
            for key in ((process, secret ^ 1), (process ^ 1, secret), (0, 0), (process, 0)):
                victim.cancel(key)
            self.cluster.wait_until_no_cancel_runs()
        self.assertEqual(victim.rows(victim.take_reply()), [("", "undisturbed")])

    def test_cancel_of_an_idle_client_does_nothing(self):
        client = self.client().login()
        client.cancel()
        self.assertEqual(client.query("SELECT count(*) FROM users WHERE user_id = 1"), [("0",)])


class Trust(EndToEndTest):
    node_count = 1
    shards = 2
    needs_mosaic = True
    config = {"auth": {"type": "trust"}}

    def test_no_password_is_asked(self):
        with WireClient(self.cluster.port) as client:
            client.login(password=None)
            self.assertEqual(client.query("SELECT count(*) FROM users WHERE user_id = 1"), [("0",)])

    def test_console_is_still_for_its_users_only(self):
        with WireClient(self.cluster.port) as client:
            with self.assertRaises(ServerError) as caught:
                client.login(user="app", database="mosaic")
            self.assertEqual(caught.exception.sqlstate, "42501")
            self.assertEqual(client.take_close(), b"")
        with WireClient(self.cluster.port) as client:
            client.login(user="operator", database="mosaic")
            self.assertEqual(len(client.query("SHOW VERSION")), 1)


if __name__ == "__main__":
    unittest.main()
