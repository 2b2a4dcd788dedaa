"""The list of what behaves unlike one PostgreSQL, each with its reason: README says the same to users. Tests that compare
frame by frame leave out these and nothing else. (Notifications that are sent on another node than the listener's are not
heard: no test sends any.)"""

import re
from typing import NamedTuple


class KnownDifference(NamedTuple):
    statement: str  # a regular expression that the spoken messages contain
    reason: str
    codes: tuple = ()  # SQLSTATEs of the first error: PostgreSQL's as a regular expression, Mosaic's


KNOWN = [
    KnownDifference(r"pg_backend_pid\(\)",
                    "BackendKeyData names Mosaic's client, pg_backend_pid() the server's process: a client has "
                    "many servers in its life, and what it cancels is the client."),
    KnownDifference(r"\bpg_prepared_statements\b",
                    "A server keeps statements for many clients under names of Mosaic's own."),
    KnownDifference(r"\bpg_stat_activity\b", "Shows the node's sessions, which are Mosaic's."),
    KnownDifference(r"", "A key that is not of its type names no shard, so no server can be asked what is wrong with it.",
                    ("22P02|22003", "MZ016")),
]


def _differing_codes(direct, subject):
    """The SQLSTATEs of the first errors that are not alike."""
    pairs = ((dict(left[1:])["C"], dict(right[1:])["C"]) for left, right in zip(direct, subject)
             if left != right and left[0] == "E" and len(left) > 2 and len(right) > 2)
    return next(pairs, (None, None))


def is_known(spoken, direct, subject):
    """Whether the two replies may differ: they must be of the same frames even so."""
    if [part[0] for part in direct] != [part[0] for part in subject]:
        return False
    codes = _differing_codes(direct, subject)
    return any(re.search(known.statement, spoken, re.IGNORECASE) for known in KNOWN if not known.codes) or any(
        codes[1] == known.codes[1] and codes[0] and re.fullmatch(known.codes[0], codes[0]) for known in KNOWN if known.codes)
