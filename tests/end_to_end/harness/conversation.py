"""Random conversations of several clients, told to a plain PostgreSQL and to Mosaic one step at a time, and their shortening.

An Author thinks of the next step of one client from a generator of random numbers and from what PostgreSQL said; a Stage
speaks the steps on both sides and compares. One thread and one order, so that a seed repeats a run. At most `pool - 1`
clients hold a server at a time, so that nobody waits for somebody who waits. A Story is what was done; `shorten` drops what
the difference does not need.
"""

import time
from typing import NamedTuple

from . import dialogue, vocabulary
from .dialogue import B, C, D, DONE, E, H, P, Q, S, Speaker, data, failed
from .known_differences import is_known

_STATEMENTS = ("", "", "s1", "s2", "s3")
_LEAVES_TRACE, _COPIES, _RESETS = "leaves a trace", "copies", "resets"
START_UP = ({}, {}, {}, {"application_name": "mine"}, {"options": "-c timezone=Asia/Tokyo"}, {"options": "-c app.user=7"},
            {"DateStyle": "German"}, {"extra_float_digits": "2"})
TABLES = {"samples": "user_id", "slots": "user_id", "hooks": "user_id", "stamped": "user_id", "notes": "owner_id",
          '"Line Items"': '"User Id"'}


class Step(NamedTuple):
    client: int
    act: str  # say, connect, leave, reset
    messages: tuple = ()
    parameters: tuple = ()  # of connect

    def __str__(self):
        if self.act == "say":
            return f"client {self.client}: " + " ".join(map(str, self.messages))
        return f"client {self.client}: {self.act} {dict(self.parameters) or ''}"


class Difference(NamedTuple):
    direct: list
    subject: list

    def signature(self):
        """What must stay while a story is shortened: the kinds of frames around the first that differs, with error codes."""
        def kind(part):
            return (part[0], dict(part[1:]).get("C")) if part[0] in "EN" and len(part) > 2 else (part[0],)
        pairs = zip(self.direct + [("end",)], self.subject + [("end",)])
        return next((kind(left), kind(right)) for left, right in pairs if left != right)

    def __str__(self):
        apart = dialogue.parameters_apart(self.direct, self.subject)
        if apart:
            return f"parameters (PostgreSQL, Mosaic): {apart}"
        return f"PostgreSQL: {dialogue.shown(self.direct)}\nMosaic:     {dialogue.shown(self.subject)}"


class Author:
    """What one client says next. `heard` is PostgreSQL's side of it."""

    def __init__(self, number, rng):
        self.number = number
        self.rng = rng
        self.is_connected = False
        self.is_fresh = True
        self.may_keep_server = False
        self.owes_discard = False
        self.wishes_rest = False
        self.portals = 0
        self.statements = {}  # how many values each is believed to want

    def next_step(self, speaker):
        rng = self.rng
        if not self.is_connected:
            return self.connect()
        if speaker.owed.is_copying_in:
            return self.say(self.copy_rows())
        if not speaker.owed.is_between_groups:
            return self.say(self.group(speaker.status))
        if speaker.status == "I":
            if self.owes_discard:
                self.owes_discard = self.may_keep_server = False
                self.statements.clear()
                return self.say([Q("DISCARD ALL")])
            if self.is_fresh:
                self.is_fresh = False
                return self.say([Q(vocabulary.read(rng).sql.replace("$1", "{u}").replace("$2", "'1'"))])
        if rng.random() < 0.012 or (self.wishes_rest and rng.random() < 0.3):
            return self.part()
        if self.wishes_rest:
            return self.say([Q("ROLLBACK" if speaker.status != "I" else "DISCARD ALL")])
        return self.say([self.query(speaker.status)] if rng.random() < 0.5 else self.group(speaker.status))

    def connect(self):
        self.__init__(self.number, self.rng)
        self.is_connected = True
        return Step(self.number, "connect", (), tuple(self.rng.choice(START_UP).items()))

    def part(self):
        self.is_connected = False
        return Step(self.number, self.rng.choice(["leave", "leave", "reset"]))

    def say(self, messages):
        return Step(self.number, "say", tuple(messages))

    def heard(self, speaker):
        """After the step: `speaker` is PostgreSQL's side."""
        if speaker.is_closed:
            self.is_connected = False
        if speaker.status == "I" and speaker.owed.is_between_groups and self.last_discards:
            self.may_keep_server = False
        self.last_discards = False

    last_discards = False

    def phrase(self, status, without=()):
        """In a failed transaction mostly what leads out of it."""
        if status == "E" and self.rng.random() < 0.55:
            return self.rng.choice([vocabulary.end, vocabulary.savepoint])(self.rng)
        if status == "E":
            without = (*without, vocabulary.copy_in)  # behind a ROLLBACK its server is known with the Sync only
        if self.wishes_rest:
            without = (*without, vocabulary.begin, vocabulary.held_cursor, vocabulary.temporary, vocabulary.channel,
                       vocabulary.lock)
        chosen = vocabulary.phrase(self.rng, status != "I", without)
        self.may_keep_server = self.may_keep_server or chosen.keeps_server
        self.owes_discard = self.owes_discard or chosen.leaves_trace
        if chosen.sql == "DISCARD ALL":
            self.last_discards = True
            self.statements.clear()
        return chosen

    def inlined(self, phrase):
        sql = phrase.sql
        for number, value in enumerate(phrase.values, 1):
            sql = sql.replace(f"${number}", f"'{value}'" if not value.startswith("{") else value)
        return sql

    def query(self, status):
        rng = self.rng
        parts = []
        count = rng.choices([1, 2, 3, 4], [75, 12, 8, 5])[0]
        for _ in range(count):
            chosen = self.phrase(status, () if not parts else (vocabulary.nothing,))
            while count > 1 and vocabulary.stands_alone(chosen):
                chosen = self.phrase(status, (vocabulary.nothing,))
            parts.append(self.inlined(chosen))
            if chosen.leaves_trace or parts[-1].startswith("COPY ") or "--" in parts[-1] or "unfinished" in parts[-1]:
                break
        if "--" in parts[-1]:
            return Q(parts[-1])
        hint = vocabulary.HINT if len(parts) > 1 and parts[-1].startswith("COPY ") else ""  # which has no rows yet to go by
        if hint:
            parts = [part.replace("{v}", "{u}") for part in parts]
        return Q(hint + "; ".join(parts) + rng.choice(["", "", "", ";"]))

    def group(self, status):
        """Messages of the extended protocol; mostly with a Sync at the end, and now and then a query in between."""
        rng = self.rng
        messages = []
        ends = ""
        for _ in range(rng.choices([1, 2, 3, 5, 8], [50, 20, 15, 10, 5])[0]):
            part, ends = self.extended(status)
            messages += part
            if ends or rng.random() < 0.05:
                break
            messages += rng.choices([[], [H], [S]], [80, 12, 8])[0]
        if ends == _COPIES:
            return messages
        if not ends and rng.random() < 0.03:
            query = self.query(status)
            if "DISCARD" not in str(query):  # PostgreSQL knows of what was executed before it, Mosaic has answered some itself
                messages.append(query)
        if ends or self.wishes_rest or rng.random() < 0.8:
            messages.append(S)
        elif rng.random() < 0.7:
            messages.append(H)
        return messages

    def portal(self):
        """For a Bind: no name twice, because which of them end with an error is told apart by nobody but a server."""
        if self.rng.random() < 0.6:
            return ""
        self.portals += 1
        return f"p{self.portals}"

    def extended(self, status):
        """A piece of a group, and why the group must end with it (or an empty text)."""
        rng = self.rng
        chance = rng.random()
        name, portal = rng.choice(_STATEMENTS), self.portal()
        if chance < 0.62:
            chosen = self.phrase(status)
            values = list(chosen.values)
            if values and rng.random() < 0.04 and not chosen.sql.startswith("INSERT"):  # a row without a key has no shard
                values = values[:-1] if rng.random() < 0.5 else [None, *values[1:]]
            messages = [C("S", name)] if name and name in self.statements and rng.random() < 0.9 else []
            messages += [P(name, chosen.sql)] + ([D("S", name)] if rng.random() < 0.2 else [])
            is_copy = chosen.sql.startswith("COPY ") and "FROM STDIN" in chosen.sql
            self.statements.pop(name, None)
            if not is_copy and "RESET" not in chosen.sql and "DEFAULT" not in chosen.sql:
                self.statements[name] = tuple(chosen.values), chosen.leaves_trace
            messages += [B(portal, name, values, (), [rng.randrange(2)] if rng.random() < 0.2 else [])]
            # An EXECUTE that can not run is described as nothing.
            messages += [D("P", portal)] if rng.random() < 0.4 and not chosen.sql.startswith("EXECUTE") else []
            if "RESET" in chosen.sql or "TO DEFAULT" in chosen.sql or "ZONE LOCAL" in chosen.sql:
                return [*messages, E(portal)], _RESETS
            if is_copy:  # a statement within COPY makes PostgreSQL 15 crash now and then: nothing else is said before its rows
                return [*messages, E(portal), *rng.choice([[S], [H], [S, H], self.copy_rows()])], _COPIES
            return messages + self.executions(portal, not chosen.leaves_trace), _LEAVES_TRACE if chosen.leaves_trace else ""
        if chance < 0.78 and self.statements:
            name = rng.choice(list(self.statements))
            values, is_traced = self.statements[name]
            self.owes_discard = self.owes_discard or is_traced
            return [B(portal, name, values), *([D("P", portal)] if rng.random() < 0.3 else []), *self.executions(portal)], \
                _LEAVES_TRACE if is_traced else ""
        kind = rng.randrange(6)
        # Whether a query that has failed leaves an unnamed portal depends on how far it came.
        portal = f"p{self.portals}"
        if kind == 0:
            self.statements.pop(name, None)
            return [C("S", name)], ""
        if kind == 1:
            chosen = self.phrase(status, (vocabulary.copy_in, vocabulary.trace))
            self.statements.setdefault(name, (tuple(chosen.values), False))
            return [P(name, chosen.sql)], ""
        if status != "I" and kind == 3:  # a server that has failed describes nothing that it did not before
            return [], ""
        return [[C("P", portal)], [D("S", name)], [D("P", portal)], self.executions(portal)][kind - 2], ""

    def executions(self, portal, may_stop=True):
        rng = self.rng
        if not may_stop or rng.random() < 0.7:
            return [E(portal)]
        return [E(portal, rng.randrange(1, 4)) for _ in range(rng.randrange(1,
                3))] + ([E(portal)] if rng.random() < 0.3 else [])

    def copy_rows(self):
        rng = self.rng
        rows = [data(f"{{u}}\tc{rng.randrange(10 ** 6)}\n") for _ in range(rng.randrange(4))]
        if rng.random() < 0.15:
            rows.append(data("{u}\ttoo\tmany\n"))
        elif rng.random() < 0.2:
            rows.insert(rng.randrange(len(rows) + 1), rng.choice([H, S]))
        return [*rows, DONE if rng.random() < 0.85 else failed(), *([S] if rng.random() < 0.7 else [])]


class Stage:
    """Both sides of every client. `wipe` gives the users of all clients, or of some, the rows that a story begins with."""

    def __init__(self, judge, subject, keys, wipe, silence_s=60.0, refusals=()):
        """`refusals`: SQLSTATEs that Mosaic may refuse with, by design; whoever got one begins a new session."""
        self._refusals = refusals
        self.refused = 0
        self._addresses = (judge, subject)
        self._keys = keys  # of each client
        self._wipe = wipe
        self._silence_s = silence_s
        self.speakers = {}

    def begin(self):
        self.end()
        self._wipe()

    def end(self):
        for pair in self.speakers.values():
            for speaker in pair:
                speaker.leave()
        self.speakers = {}

    def judge_of(self, client):
        return self.speakers[client][0] if client in self.speakers else None

    def perform(self, step):
        """None, or the Difference; ValueError when the step makes no sense where it stands (stories are shortened)."""
        if step.act == "connect":
            return self._connect(step)
        pair = self.speakers.get(step.client)
        if not pair or pair[0].is_closed:
            raise ValueError(f"client {step.client} is not connected")
        if step.act != "say":
            for speaker in self.speakers.pop(step.client):
                speaker.leave(politely=step.act == "leave", reset=step.act == "reset")
            return None
        direct = pair[0].say(step.messages)
        if dialogue.SILENCE in direct:
            raise ValueError(f"PostgreSQL owes nothing more for {step}: {dialogue.shown(direct)}")
        subject = pair[1].say(step.messages)
        if dialogue.CLOSED in direct and "E" not in [part[0] for part in direct]:
            # Its last words are lost when more is sent to it than it will read.
            if dialogue.CLOSED not in subject:
                raise ValueError(f"PostgreSQL closed the connection without a word after {step}")
            del self.speakers[step.client]
            return None
        if direct == subject or is_known(str(step), direct, subject):
            return None
        if any(part[0] == "E" and len(part) > 2 and self._is_refusal(dict(part[1:])) for part in subject):
            self.refused += 1
            for speaker in self.speakers.pop(step.client):
                speaker.leave(politely=False)
            self._wipe([step.client])  # PostgreSQL has done what Mosaic refused
            return None
        return Difference(direct, subject)

    def _is_refusal(self, error):
        """That README tells of: what PostgreSQL makes of it is not compared."""
        return error["C"] in self._refusals or error["M"].startswith(("a statement behind a change of ",
                                                                      "a statement behind RESET of a setting"))

    def _connect(self, step):
        if step.client in self.speakers:
            raise ValueError(f"client {step.client} is connected")
        pair, outcomes = [], []
        for address in self._addresses:
            try:
                speaker = Speaker(address, self._keys[step.client], self._silence_s, **dict(step.parameters))
                pair.append(speaker)
                outcomes.append([("parameters", dict(speaker.wire.parameters))])
            except (dialogue.wire.ServerError, dialogue.wire.ConnectionClosed, TimeoutError) as error:
                outcomes.append([("refused", str(error).encode())])
        if outcomes[0] != outcomes[1]:
            for speaker in pair:
                speaker.leave()
            return Difference(*outcomes)
        self.speakers[step.client] = pair
        return None


def holds_server(author, speaker):
    return author.is_connected and speaker is not None and (
        author.may_keep_server or author.owes_discard or speaker.status != "I" or not speaker.owed.is_between_groups)


def perform_story(stage, story):
    """(number of steps performed, Difference or None)."""
    stage.begin()
    try:
        for number, step in enumerate(story, 1):
            difference = stage.perform(step)
            if difference:
                return number, difference
        return len(story), None
    finally:
        stage.end()


def improvise(stage, rng, clients, pool, steps_max):
    """A new story: (steps, Difference or None, statements said)."""
    authors = [Author(number, rng) for number in range(clients)]
    story, said = [], 0
    stage.begin()
    try:
        for _ in range(steps_max):
            holders = [author for author in authors if holds_server(author, stage.judge_of(author.number))]
            is_full = len(holders) >= pool - 1
            author = rng.choice(holders if is_full else authors)
            author.wishes_rest = is_full and author.may_keep_server
            step = author.next_step(stage.judge_of(author.number))
            story.append(step)
            said += sum(message.kind in "QE" for message in step.messages)
            try:
                difference = stage.perform(step)
            except ValueError as error:  # of PostgreSQL itself: the conversation is at fault
                raise AssertionError("\n".join(map(str, [*(told for told in story if told.client == step.client),
                                                         error]))) from error
            if difference:
                return story, difference, said
            if stage.judge_of(author.number):
                author.heard(stage.judge_of(author.number))
                if stage.judge_of(author.number).is_closed:
                    for speaker in stage.speakers.pop(author.number):
                        speaker.leave()
            else:
                author.is_connected = False
        return story, None, said
    finally:
        stage.end()


def shorten(story, signature, perform, budget_s=90.0):
    """Drops steps, then messages, while `perform(story)` (a Difference or None) still differs in the same way."""
    deadline = time.monotonic() + budget_s

    def still_differs(candidate):
        try:
            found = perform(candidate)
        except ValueError:
            return False
        return found is not None and found.signature() == signature

    story = list(story)
    size = max(1, len(story) // 2)
    while size and time.monotonic() < deadline:
        start, has_dropped = 0, False
        while start < len(story) - 1 and time.monotonic() < deadline:
            candidate = story[:start] + story[min(start + size, len(story) - 1):]
            if still_differs(candidate):
                story, has_dropped = candidate, True
            else:
                start += size
        if not has_dropped or size > 1:
            size = size // 2
    for number in range(len(story)):
        position = 0
        while position < len(story[number].messages) and len(story[number].messages) > 1 and time.monotonic() < deadline:
            fewer = story[number].messages[:position] + story[number].messages[position + 1:]
            candidate = story[:number] + [story[number]._replace(messages=fewer)] + story[number + 1:]
            if still_differs(candidate):
                story = candidate
            else:
                position += 1
    return story
