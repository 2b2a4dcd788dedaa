"""What users of other movers have reported of them, and its neighbours: privileges, publications, transactions that are open or
prepared on either side, log that is gone."""

import contextlib
import unittest

from harness.moves import MovesTest
from harness.processes import wait_until


class MoveReports(MovesTest):
    def test_nobody_may_do_more_there_than_here(self):
        """The target's default privileges would let in who is not let in on the source."""
        for node in (self.pg1, self.pg2):
            node.query("CREATE ROLE snoop")
            self.addCleanup(node.query, "DROP ROLE snoop")
        for what in ("SELECT, INSERT ON TABLES", "USAGE ON SCHEMAS", "USAGE ON SEQUENCES", "EXECUTE ON FUNCTIONS"):
            self.pg2.query(f"ALTER DEFAULT PRIVILEGES GRANT {what} TO snoop")
            self.addCleanup(self.pg2.query, f"ALTER DEFAULT PRIVILEGES REVOKE {what} FROM snoop")
        before = self.grants(self.pg1, "shard_0002")
        self.wait_for_state(self.move(2, "pg2"), "complete")
        self.assertEqual(self.grants(self.pg2, "shard_0002"), before)
        self.assertNotIn("snoop", str(before))
        self.bring_back(2)

    def test_a_prepared_transaction_is_named_and_waited_for(self):
        move = self.move(0, "pg2", rate="1kB/s")
        self.console(f"PAUSE MOVE {move}")
        self.pg1.query("BEGIN; INSERT INTO shard_0000.users (user_id) VALUES (-1); PREPARE TRANSACTION 'held'")
        self.console(f"RESUME MOVE {move}")
        wait_until(lambda: "prepared transaction 'held'" in self.row(move)["blockers"], lambda: f"it to be named: {self.row(move)}")
        self.pg1.query("COMMIT PREPARED 'held'")
        self.wait_for_state(move, "complete")
        self.assertEqual(self.pg2.query("DELETE FROM shard_0000.users WHERE user_id = -1 RETURNING user_id"), [(-1,)])
        self.bring_back(0)

    def test_an_undo_can_be_given_up_and_asked_for_again(self):
        with self.checker(0, 4) as checker:
            move = self.move(0, "pg2", soak="10 min")
            self.wait_for_state(move, "soaking")
            with contextlib.closing(self.pg2.connect()) as blocker, blocker.cursor() as cursor:
                cursor.execute("BEGIN; INSERT INTO shard_0000.users (user_id) VALUES (-2)")
                self.console(f"UNDO MOVE {move}")
                wait_until(lambda: "INSERT INTO shard_0000.users" in self.row(move)["blockers"], "the blocker to be named")
                self.console(f"CANCEL MOVE {move}")
                self.wait_for_state(move, "soaking")
                cursor.execute("COMMIT")
            self.console(f"UNDO MOVE {move}")
            self.wait_for_state(move, "returned")
            checker.wait_for_turns(5)
        self.assertEqual(checker.findings(), [])
        self.assertEqual(self.pg1.query("DELETE FROM shard_0000.users WHERE user_id = -2 RETURNING user_id"), [(-2,)])
        self.assert_tidy(0, self.pg1)

    def test_a_transaction_on_the_target_keeps_the_way_back_waiting_and_is_named(self):
        with self.checker(0) as checker, contextlib.closing(self.pg2.connect()) as other, other.cursor() as cursor:
            cursor.execute("BEGIN; INSERT INTO shard_0004.users (user_id) VALUES (-3)")
            move = self.move(0, "pg2", soak="10 min")
            waits = lambda: (self.row(move)["message"], "pid" in self.row(move)["blockers"])  # noqa: E731
            wait_until(lambda: waits() == ("waits for transactions that were open on pg2 before it", True), lambda: f"{waits()}")
            cursor.execute("ROLLBACK")
            self.wait_for_state(move, "soaking")
            checker.wait_for_turns(10)
            self.console(f"UNDO MOVE {move}")
            self.wait_for_state(move, "returned")
        self.assertEqual(checker.findings(), [])

    def test_a_slot_whose_log_is_gone_is_made_anew(self):
        self.pg1.query("CREATE TABLE shard_0003.filler (id int PRIMARY KEY, v text); "
                       "INSERT INTO shard_0003.filler SELECT g, md5(g::text) FROM generate_series(1, 20000) g; CREATE TABLE junk (v text)")
        self.addCleanup(self.pg1.query, "DROP TABLE junk, shard_0003.filler")
        move = self.move(3, "pg2", rate="300kB/s")
        self.wait_for_state(move, "copying")
        self.set_on_source("max_slot_wal_keep_size = '1MB'")

        def is_lost():
            self.pg1.query("INSERT INTO junk SELECT repeat(md5(g::text), 30) FROM generate_series(1, 2000) g; SELECT pg_switch_wal()")
            self.pg1.query("CHECKPOINT")
            return self.pg1.query("SELECT wal_status FROM pg_replication_slots") == [("lost",)]
        wait_until(is_lost, "the slot to lose its log")
        self.set_on_source("max_slot_wal_keep_size = -1")
        self.wait_for_state(move, "complete")
        self.assertEqual(self.pg2.query("SELECT count(*) FROM shard_0003.filler"), [(20000,)])
        self.assert_tidy(3, self.pg2)
        self.bring_back(3)

    def set_on_source(self, setting):
        self.pg1.query(f"ALTER SYSTEM SET {setting}")
        self.pg1.query("SELECT pg_reload_conf()")

    def test_a_check_tells_of_publications_that_others_follow(self):
        self.pg1.query("CREATE PUBLICATION cdc FOR TABLE shard_0001.users")
        self.pg2.query("CREATE PUBLICATION everything FOR ALL TABLES")
        _, notices = self.console("CHECK MOVE SHARD 1 TO pg2")
        self.pg1.query("DROP PUBLICATION cdc")
        self.pg2.query("DROP PUBLICATION everything")
        self.assertRegex(" ".join(notices), "publication everything is FOR ALL TABLES.*publication cdc publishes tables of the shard")
        self.assertIn("shard 1 can go from pg1 to pg2", notices[-1])


if __name__ == "__main__":
    unittest.main()
