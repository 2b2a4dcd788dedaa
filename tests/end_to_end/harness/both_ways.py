"""One conversation, held through Mosaic and with a plain PostgreSQL that has the same tables: the outcomes must be equal.

A conversation is a function of an address and a Transcript; what a program would see (values, SQLSTATEs, states of its
driver) goes into the transcript. It may be a coroutine. Unlike pair.py, which compares frames, this compares what drivers
make of them.
"""

import asyncio
import inspect
import traceback

from .cluster import APP_USER, EndToEndTest


def outcome_of(error):
    """An error as a program tells them apart: the SQLSTATE, or the class of what a driver raises by itself."""
    for name in ("sqlstate", "pgcode", "code"):
        code = getattr(error, name, None)
        if isinstance(code, str):
            return code
    return type(error).__name__


class Transcript:
    def __init__(self):
        self.entries = []

    def note(self, what, value):
        self.entries.append((what, value))

    def attempt(self, what, action, *arguments, **options):
        """Calls `action` and notes what it returns, or which error it raises; returns the result."""
        try:
            value = action(*arguments, **options)
        except Exception as error:  # pylint: disable=broad-except  (whatever a driver raises is an outcome)
            self.note(what, outcome_of(error))
            return None
        self.note(what, value)
        return value

    async def attempt_async(self, what, awaitable):
        try:
            value = await awaitable
        except Exception as error:  # pylint: disable=broad-except
            self.note(what, outcome_of(error))
            return None
        self.note(what, value)
        return value

    async def attempt_async_quietly(self, what, awaitable):
        """Notes only whether it worked, or which error it raised; returns the result."""
        try:
            value = await awaitable
        except Exception as error:  # pylint: disable=broad-except
            self.note(what, outcome_of(error))
            return None
        self.note(what, True)
        return value


class BothWaysTest(EndToEndTest):
    """`self.alike(conversation)` is the check. The application may create tables in `public`: they are not sharded."""

    node_settings = {"max_prepared_transactions": "10"}
    own_tables = ""  # SQL that makes what the tests need besides the photo schema, on the default node and on the plain one

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.reference = cls.cluster.create_reference()
        prepare = f"GRANT CREATE ON SCHEMA public TO {APP_USER}; SET ROLE {APP_USER}; {cls.own_tables}"
        for database in {cls.cluster.address()["dbname"], cls.reference["dbname"]}:
            cls.cluster.nodes[0].query(prepare, database=database)

    def hold(self, conversation, address):
        """Returns the transcript's entries; an error that the conversation does not catch is its last entry."""
        transcript = Transcript()
        try:
            if inspect.iscoroutinefunction(conversation):
                asyncio.run(conversation(address, transcript))
            else:
                conversation(address, transcript)
        except Exception as error:  # pylint: disable=broad-except
            transcript.note("broke off", f"{outcome_of(error)}: {error}\n{traceback.format_exc(limit=-3)}")
        return transcript.entries

    def alike(self, conversation):
        """Holds it with the plain PostgreSQL first, where it must come to its end. Returns the entries."""
        direct = self.hold(conversation, self.reference)
        self.assertTrue(direct, "the conversation notes nothing")
        self.assertNotEqual(direct[-1][0], "broke off", f"with the plain PostgreSQL: {direct}")
        subject = self.hold(conversation, self.cluster.address())
        if direct != subject:
            at = next((n for n, (a, b) in enumerate(zip(direct, subject)) if a != b), min(len(direct), len(subject)))
            shown = [f"  {entry}" for entry in direct[max(0, at - 6):at]]
            self.fail("\n".join(["the same up to:", *shown, f"PostgreSQL then: {direct[at:at + 3]}", f"mosaic then: {subject[at:at + 3]}"]))
        return direct
