// What may happen to a session at any time: its client goes, its server dies, it is cancelled, times out, or
// Mosaic shuts down. Each event in each phase.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/proxy/postgres/session/session_script.h"

namespace mosaic::proxy {
namespace {

using testing::ElementsAre;
using Intake = Session::Intake;

// Brings a new session into each of its phases; the name is for messages.
struct InPhase {
  const char* name;
  void (*enter)(SessionScript&);
};
std::string text_on_pg2(SessionScript& s) {
  return fmt::format("SELECT 1 FROM media WHERE user_id = {}", s.user_on("pg2"));
}
// Before the client may talk: no server has told its parameters yet.
void log_in(SessionScript& s, std::vector<std::pair<std::string, std::string>> settings) {
  s.session.reset();
  s.welcomes = WelcomeCache();
  s.session = std::make_unique<Session>(s.environment, s.outbox);
  s.session->on_login("app", settings, 1, 2);
}
const InPhase kPhases[] = {
    {"ready", [](SessionScript&) {}},
    {"waiting", [](SessionScript& s) { s.query(text_on_pg2(s)); }},
    {"in flight", [](SessionScript& s) { s.query(text_on_pg2(s)), s.grant(), s.query(text_on_pg2(s)); }},
    {"group",
     [](SessionScript& s) {
       s.parse("", "SELECT 1 FROM media WHERE user_id = $1");
       const std::string user = std::to_string(s.user_on("pg2"));
       s.bind("", "", {user}), s.grant(), s.bind("", "", {user});
     }},
    {"transaction",
     [](SessionScript& s) {
       s.query(text_on_pg2(s)), s.grant(), s.query(text_on_pg2(s));
       s.server_complete("SELECT 0"), s.server_ready('T');
     }},
    {"preparing",
     [](SessionScript& s) {
       s.memory.settings = s.name_values.intern({{"work_mem", "S1"}});
       s.query(text_on_pg2(s)), s.grant();
     }},
    {"copy in",
     [](SessionScript& s) {
       s.query("COPY media (user_id, caption) FROM STDIN");
       s.session->on_copy_bytes(fmt::format("{}\ta\n", s.user_on("pg2")));
       s.grant(), s.server('G', std::string(3, '\0'));
     }},
    {"copy unrouted", [](SessionScript& s) { s.query("COPY media (user_id, caption) FROM STDIN"); }},
    {"copy waiting",
     [](SessionScript& s) {
       s.query("COPY media (user_id, caption) FROM STDIN");
       s.session->on_copy_bytes(fmt::format("{}\ta\n", s.user_on("pg2")));
     }},
    {"copy in, extended",
     [](SessionScript& s) {
       s.query(fmt::format("SET mosaic.user_id = '{}'", s.user_on("pg2")));
       s.parse("", "COPY media (user_id, caption) FROM STDIN");
       s.bind("", ""), s.grant(), s.bind("", ""), s.execute();
       s.server('1', {}), s.server('2', {}), s.server('G', std::string(3, '\0'));
     }},
    {"transaction without a server", [](SessionScript& s) { s.query("BEGIN"); }},
    {"refused while a server is waited for",
     [](SessionScript& s) { s.query("BEGIN"), s.query("SELECT * FROM media"); }},
    {"refused in a transaction said late",
     [](SessionScript& s) { s.query("BEGIN"), s.query("SELECT * FROM media"), s.grant(); }},
    {"portable transaction",
     [](SessionScript& s) { s.query("BEGIN"), s.send("SELECT 1"), s.answer({"BEGIN"}, 'T'); }},
    {"portable transaction that moves",
     [](SessionScript& s) {
       s.query("BEGIN"), s.send("SELECT 1"), s.answer({"BEGIN"}, 'T');
       s.query(text_on_pg2(s));
     }},
    {"portable transaction that has moved",
     [](SessionScript& s) {
       s.query("BEGIN"), s.send("SELECT 1"), s.answer({"BEGIN"}, 'T');
       s.query(text_on_pg2(s)), s.answer({"ROLLBACK"}, 'I'), s.lease_end();
       s.send(text_on_pg2(s));
     }},
    {"resting",
     [](SessionScript& s) {
       s.send("DO $$ BEGIN PERFORM set_config('work_mem', '1MB', false); END $$"), s.answer({"DO"}, 'I');
     }},
    {"looking", [](SessionScript& s) { s.send("LISTEN x"), s.answer({"LISTEN"}, 'I'); }},
    {"draining",
     [](SessionScript& s) {
       s.send_extended("SELECT 1"), s.parse("", "BEGIN"), s.bind("", ""), s.execute(), s.to_client();
       s.query("DEALLOCATE ALL");
     }},
    {"searching", [](SessionScript& s) { s.query("COMMIT PREPARED 'a'"), s.grant(); }},
    {"trying again",
     [](SessionScript& s) {
       const std::string user = std::to_string(s.user_on("pg2"));
       s.parse("q", "SELECT 1 FROM media WHERE user_id = $1"), s.bind("", "q", {user}), s.grant();
       s.bind("", "q", {user}), s.execute(), s.sync(), s.answer({}, 'I'), s.lease_end();
       s.bind("", "q", {user}), s.grant(), s.bind("", "q", {user}), s.execute();
       s.server_error("26000", "no");
     }},
    {"failed transaction",
     [](SessionScript& s) {
       s.query(text_on_pg2(s)), s.grant(), s.query(text_on_pg2(s));
       s.server_error("22012", "division by zero"), s.server_ready('E');
     }},
    {"group without a server", [](SessionScript& s) { s.parse("", "SELECT 1"); }},
    {"failed group", [](SessionScript& s) { s.bind("", "unknown"); }},
    {"described group",
     [](SessionScript& s) {
       s.parse("", "SELECT 1 FROM media WHERE user_id = $1");
       s.describe('S', ""), s.grant(), s.describe('S', "");
       s.server('1', {}), s.server('t', std::string(2, '\0')), s.server('n', {});
     }},
    {"group that moves to another node",
     [](SessionScript& s) {
       s.parse("", "SELECT 1 FROM media WHERE user_id = $1");
       s.describe('S', ""), s.grant(), s.describe('S', "");
       s.bind("", "", {std::to_string(s.user_on("pg2"))});
     }},
    {"refused in a transaction",
     [](SessionScript& s) {
       s.query(text_on_pg2(s)), s.grant(), s.query(text_on_pg2(s));
       s.server_complete("SELECT 0"), s.server_ready('T'), s.query("SELECT * FROM media");
     }},
    {"pinned", [](SessionScript& s) { s.send("LISTEN x"), s.answer({"LISTEN"}, 'I'), s.answer_look("L"); }},
    {"settings behind a statement",
     [](SessionScript& s) {
       log_in(s, {{"work_mem", "4MB"}});
       s.grant(), s.server_complete("SET"), s.server_ready('I');
       s.query("RESET work_mem"), s.grant(), s.query("RESET work_mem");
       s.server_complete("RESET"), s.server_ready('I');
     }},
    {"welcome, waiting", [](SessionScript& s) { log_in(s, {}); }},
    {"welcome, preparing",
     [](SessionScript& s) {
       log_in(s, {{"work_mem", "4MB"}}), s.grant();
     }},
    {"abandoned",
     [](SessionScript& s) {
       s.query(text_on_pg2(s)), s.grant(), s.query(text_on_pg2(s));
       s.session->on_client_lost(false);
     }},
    {"closed", [](SessionScript& s) { s.session->on_client_lost(true); }},
};

// Answers what the session has sent and sends, ReadyForQuery by ReadyForQuery, until it has let its server
// go.
void bring_to_rest(SessionScript& s) {
  for (int round = 0; s.session->holds_server(); ++round) {
    ASSERT_LT(round, 16) << "the server is never brought to rest";
    const auto sent = s.to_server();
    const bool is_rolled_back = !sent.empty() && sent.back() == "Query ROLLBACK";
    if (is_rolled_back) s.server_complete("ROLLBACK");
    s.server_ready(is_rolled_back ? 'I' : 'T');
  }
}

struct Event {
  const char* name;
  bool (*may_come)(const SessionScript&);
  void (*fire)(SessionScript&);
};
bool is_open(const SessionScript& s) {
  return s.session->phase() != Session::Phase::kAbandoned && s.session->phase() != Session::Phase::kClosed;
}
bool has_server(const SessionScript& s) { return s.session->holds_server(); }
const routing::Error kLost{"08006", "lost", "", ""};
const Event kEvents[] = {
    {"client lost", [](const SessionScript&) { return true; },
     [](SessionScript& s) { s.session->on_client_lost(false); }},
    {"client left", is_open, [](SessionScript& s) { s.session->on_client_lost(true); }},
    {"server lost", has_server, [](SessionScript& s) { s.session->on_server_lost(kLost, false); }},
    {"server lost within a frame", has_server,
     [](SessionScript& s) { s.session->on_server_lost(kLost, true); }},
    {"timeout", is_open,
     [](SessionScript& s) {
       s.session->on_timeout(routing::Error{"57014", "timeout", "", ""});
     }},
    {"shutdown", is_open, [](SessionScript& s) { s.session->on_shutdown(); }},
    {"cancel", is_open, [](SessionScript& s) { s.session->on_cancel_request(); }},
};

// What the driver does with the outbox; the lease ends once at most.
void settle(SessionScript& s, bool& had_server) {
  if (s.lease_end() != LeaseEnd::kNone) {
    EXPECT_TRUE(had_server) << "a lease ended twice";
    had_server = false;
  }
  EXPECT_EQ(had_server, s.session->holds_server());
  s.outbox.stop_waiting = false;
  s.outbox.cancel_server = false;
}

// Every event in every phase, and every second event behind it, then the end of the client: the session ends
// with no server, no request for one, and each lease ended once.
TEST(SessionEnding, takes_every_two_events_in_every_phase) {
  for (const InPhase& phase : kPhases) {
    for (const Event& first : kEvents) {
      for (const Event& second : kEvents) {
        SCOPED_TRACE(fmt::format("{}: {}, then {}", phase.name, first.name, second.name));
        SessionScript s;
        phase.enter(s);
        s.to_server();
        s.lease_end();  // of leases that getting here took
        bool had_server = s.session->holds_server();
        if (!first.may_come(s)) continue;
        first.fire(s);
        settle(s, had_server);
        if (second.may_come(s)) second.fire(s);
        settle(s, had_server);
        s.session->on_client_lost(false);
        settle(s, had_server);
        bring_to_rest(s);
        settle(s, had_server);
        EXPECT_EQ(s.session->phase(), Session::Phase::kClosed);
        EXPECT_FALSE(s.outbox.lease_request.has_value());
      }
    }
  }
}

TEST(SessionEnding, closes_at_once_on_a_timeout_whatever_runs) {
  for (const InPhase& phase : kPhases) {
    SCOPED_TRACE(phase.name);
    SessionScript s;
    phase.enter(s);
    if (!is_open(s)) continue;
    s.to_client();
    s.session->on_timeout(routing::Error{"57014", "query timeout", "", ""});
    EXPECT_THAT(s.to_client(), ElementsAre("Error 57014 query timeout"));
    EXPECT_TRUE(s.outbox.close_client);
    EXPECT_FALSE(s.session->can_take());
  }
}

TEST(SessionEnding, survives_the_loss_of_its_server_in_every_phase) {
  for (const InPhase& phase : kPhases) {
    SCOPED_TRACE(phase.name);
    SessionScript s;
    phase.enter(s);
    const bool is_welcome = std::string_view(phase.name).starts_with("welcome");
    if (!s.session->holds_server() || !is_open(s) || s.session->is_pinned() || is_welcome) continue;
    s.to_client();
    s.session->on_server_lost(routing::Error{"08006", "lost", "", ""}, false);
    EXPECT_EQ(s.lease_end(), LeaseEnd::kDiscard);
    EXPECT_FALSE(s.session->holds_server());
    EXPECT_TRUE(s.session->can_take());
    // The session stays usable: whatever was open is ended, then a new statement finds its server.
    if (s.session->phase() == Session::Phase::kGroup) s.sync();
    const std::string text = text_on_pg2(s);
    if (s.query(text) == Intake::kTaken) {
      if (s.session->is_in_transaction()) s.query("ROLLBACK");
      EXPECT_EQ(s.query(text), Intake::kLater);
    }
    EXPECT_EQ(s.wanted_node(), "pg2");
  }
}

// The Sync that ends an extended COPY is the client's, and the only one that ReadyForQuery answers.
TEST(SessionEnding, answers_the_loss_of_a_server_in_an_extended_copy_with_one_ready) {
  SessionScript s;
  s.query(fmt::format("SET mosaic.user_id = '{}'", s.user_on("pg2")));
  s.parse("", "COPY media (user_id, caption) FROM STDIN");
  s.bind("", ""), s.grant(), s.bind("", ""), s.execute();
  s.server('1', {}), s.server('2', {}), s.server('G', std::string(3, '\0'));
  s.to_client();
  s.session->on_server_lost(kLost, false);
  EXPECT_THAT(s.to_client(), ElementsAre("Error 08006 lost"));
  s.client('c', {});
  s.sync();
  EXPECT_THAT(s.to_client(), ElementsAre("Ready I"));
}

// Whether the SET has come through is not known: the next client must not find it.
TEST(SessionEnding, brings_to_rest_a_server_whose_settings_are_unknown_when_its_client_goes) {
  SessionScript s;
  s.send("SET statement_timeout TO 5");
  s.to_server();
  s.session->on_client_lost(false);
  s.server_complete("SET");
  s.server_ready('I');
  EXPECT_EQ(s.lease_end(), LeaseEnd::kNone);
  s.answer_rest();
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
  EXPECT_TRUE(s.memory.settings->is_empty());
}

TEST(SessionEnding, brings_to_rest_a_server_whose_client_goes_during_the_commit_of_a_setting) {
  SessionScript s;
  s.query("BEGIN"), s.send(text_on_pg2(s)), s.answer({"BEGIN"}, 'T');
  s.query("SET statement_timeout TO 5"), s.answer({"SET"}, 'T');
  s.query("COMMIT"), s.to_server();
  s.session->on_client_lost(false);
  s.server_complete("COMMIT");
  s.server_ready('I');
  EXPECT_EQ(s.lease_end(), LeaseEnd::kNone);
  s.answer_rest();
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
  EXPECT_TRUE(s.memory.settings->is_empty());
}

// Nobody knows what it holds.
TEST(SessionEnding, discards_a_server_that_can_not_be_brought_to_rest_when_its_client_goes) {
  for (const bool fails : {true, false}) {
    SessionScript s;
    s.send("SET statement_timeout TO 5"), s.to_server();
    s.session->on_client_lost(false);
    s.server_complete("SET"), s.server_ready('I');
    if (fails) {
      s.server_error("57014", "canceling statement due to statement timeout"), s.server_ready('I');
    } else {
      s.answer_rest("1");  // a statement that somebody has prepared is left
    }
    EXPECT_EQ(s.lease_end(), LeaseEnd::kDiscard);
    EXPECT_EQ(s.session->phase(), Session::Phase::kClosed);
  }
}

// An error of the query itself, behind a BEGIN that went with it: its one ReadyForQuery is the last thing
// owed.
TEST(SessionEnding, returns_a_server_only_when_nothing_more_is_owed) {
  SessionScript s;
  const std::string text = text_on_pg2(s);
  s.query("BEGIN"), s.query(text), s.grant(), s.query(text);
  s.to_server();
  s.session->on_client_lost(false);
  s.server('1', {}), s.server('2', {}), s.server_complete("BEGIN");
  s.server_error("22012", "division by zero");
  EXPECT_THAT(s.to_server(), ElementsAre());
  s.server_ready('E');
  EXPECT_THAT(s.to_server(), ElementsAre("Query ROLLBACK"));
  EXPECT_EQ(s.lease_end(), LeaseEnd::kNone);
  s.server_complete("ROLLBACK"), s.server_ready('I');
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
}

// A BEGIN that fails makes the server skip the query behind it to a Sync.
TEST(SessionEnding, sends_a_sync_when_a_begin_said_late_fails_for_a_client_that_has_gone) {
  SessionScript s;
  const std::string text = text_on_pg2(s);
  s.query("BEGIN"), s.query(text), s.grant(), s.query(text);
  s.to_server();
  s.session->on_client_lost(false);
  s.server_error("57014", "canceled");
  EXPECT_THAT(s.to_server(), ElementsAre("Sync"));
  s.server_ready('I');
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
}

TEST(SessionEnding, says_nothing_in_the_middle_of_a_frame_when_it_closes) {
  SessionScript s;
  const std::string text = text_on_pg2(s);
  s.query(text), s.grant(), s.query(text);
  s.client_out.append("D");  // the first byte of a row has gone
  s.outbox.is_mid_frame = true;
  s.session->on_timeout(routing::Error{"57014", "query timeout", "", ""});
  EXPECT_EQ(s.client_out.view(), "D");
  EXPECT_TRUE(s.outbox.close_client);
}

// --- found by the simulation ---

TEST(SessionEnding, leaves_no_error_of_a_lost_server_to_the_next_statement) {
  SessionScript s;
  s.query("SET work_mem TO 3");
  s.grant();
  s.query("SET work_mem TO 3");
  s.server_error("57014", "canceled");
  s.session->on_server_lost(kLost, false);
  s.lease_end();
  s.memory = {};
  s.memory.settings = s.memory.parameters = s.name_values.empty();
  s.query("SET work_mem TO 4");
  s.grant();
  s.query("SET work_mem TO 4");
  s.server_complete("SET"), s.server_ready('I');
  const std::string* remembered = s.memory.settings->find("work_mem");
  ASSERT_NE(remembered, nullptr) << "a SET that succeeded counts as failed";
  EXPECT_EQ(*remembered, "S4");
}

TEST(SessionEnding, closes_during_shutdown_when_an_answer_of_its_own_brings_it_to_rest) {
  SessionScript copying;
  copying.query("COPY media (user_id, caption) FROM STDIN");
  copying.session->on_shutdown();
  EXPECT_NE(copying.session->phase(), Session::Phase::kClosed);
  copying.client('c', {});
  EXPECT_EQ(copying.session->phase(), Session::Phase::kClosed);
}

TEST(SessionEnding, rolls_back_when_the_client_is_lost_before_the_first_row_of_a_copy) {
  SessionScript s;
  s.query(text_on_pg2(s)), s.grant(), s.query(text_on_pg2(s));
  s.server_complete("SELECT 0"), s.server_ready('T');
  s.query("COPY media (user_id, caption) FROM STDIN");
  s.to_server();
  s.session->on_client_lost(false);
  EXPECT_THAT(s.to_server(), ElementsAre("Query ROLLBACK"));
}

TEST(SessionEnding, owes_no_ready_when_a_described_server_is_lost_while_it_is_let_go) {
  SessionScript s;
  s.parse("", "SELECT 1 FROM media WHERE user_id = $1");
  s.describe('S', "");
  const std::string described_on = s.grant();
  s.describe('S', "");
  const std::string other = std::to_string(s.user_on(described_on == "pg1" ? "pg2" : "pg1"));
  EXPECT_EQ(s.bind("", "", {other}), Intake::kLater);
  s.to_client();
  s.session->on_server_lost(kLost, false);
  EXPECT_THAT(s.to_client(), ElementsAre("Error 08006 lost"));
  s.bind("", "", {other});
  s.sync();
  EXPECT_THAT(s.to_client(), ElementsAre("Ready I"));
}

TEST(SessionEnding, rolls_a_setting_back_to_a_savepoint_that_is_older_than_any_setting) {
  SessionScript s;
  s.query(text_on_pg2(s)), s.grant(), s.query(text_on_pg2(s));
  s.server_complete("SELECT 0"), s.server_ready('T');
  for (const auto& [text, tag] : {std::pair{"SAVEPOINT a", "SAVEPOINT"},
                                  {"SET work_mem TO 3", "SET"},
                                  {"ROLLBACK TO a", "ROLLBACK"},
                                  {"COMMIT", "COMMIT"}}) {
    s.query(text);
    s.server_complete(tag);
    s.server_ready(std::string_view(text) == "COMMIT" ? 'I' : 'T');
  }
  EXPECT_EQ(s.memory.settings->find("work_mem"), nullptr);
}

}  // namespace
}  // namespace mosaic::proxy
