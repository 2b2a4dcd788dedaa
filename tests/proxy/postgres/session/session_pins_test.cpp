// Why a client keeps its server, and until when: the server is asked what is left. And servers that nobody
// knows everything of: brought to rest before anyone else gets them.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/proxy/postgres/session/session_script.h"

namespace mosaic::proxy {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;
using Intake = Session::Intake;

constexpr const char* kDo = "DO $$ BEGIN PERFORM set_config('work_mem', '1MB', false); END $$";

std::string keyed(const SessionScript& s, const char* node) {
  return fmt::format("SELECT 1 FROM media WHERE user_id = {}", s.user_on(node));
}

// The look has found nothing: the server goes, by way of a rest where something else may be left.
void expect_let_go(SessionScript& s) {
  if (s.session->phase() == Session::Phase::kResting) s.answer_rest();
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
  EXPECT_FALSE(s.session->is_pinned());
}

struct PinCase {
  const char* makes;
  const char* makes_tag;
  const char* letter;
  const char* ends;
  const char* ends_tag;
};
const PinCase kPinCases[] = {
    {"LISTEN x", "LISTEN", "L", "UNLISTEN *", "UNLISTEN"},
    {"LISTEN x", "LISTEN", "L", "UNLISTEN x", "UNLISTEN"},
    {"CREATE TEMP TABLE t (a int)", "CREATE TABLE", "T", "DROP TABLE t", "DROP TABLE"},
    {"CREATE TEMP TABLE t (a int)", "CREATE TABLE", "T", "DISCARD TEMP", "DISCARD TEMP"},
    {"DECLARE c CURSOR WITH HOLD FOR SELECT 1", "DECLARE CURSOR", "C", "CLOSE c", "CLOSE CURSOR"},
    {"SELECT pg_advisory_lock(1)", "SELECT 1", "A", "SELECT pg_advisory_unlock(1)", "SELECT 1"},
};

TEST(SessionPins, keeps_the_server_while_it_says_that_something_is_left) {
  for (const PinCase& pin : kPinCases) {
    SCOPED_TRACE(pin.makes);
    SessionScript s;
    s.send(pin.makes), s.answer({pin.makes_tag}, 'I');
    EXPECT_THAT(s.to_client(), ElementsAre(fmt::format("Complete {}", pin.makes_tag), "Ready I"))
        << "the client does not wait for the look";
    EXPECT_FALSE(s.session->can_take());
    s.answer_look(pin.letter);
    EXPECT_EQ(s.lease_end(), LeaseEnd::kNone);
    EXPECT_TRUE(s.session->is_pinned());
    EXPECT_EQ(s.query("SELECT 1"), Intake::kTaken) << "on the same server";
    EXPECT_THAT(s.answer({}, 'I'), ElementsAre("Query SELECT 1"));
    EXPECT_THAT(s.to_server(), IsEmpty()) << "nothing to look for";
    EXPECT_EQ(s.lease_end(), LeaseEnd::kNone);
    EXPECT_THAT(s.to_client(), ElementsAre("Complete SELECT 1", "Ready I")) << "and nothing of the look";
  }
}

TEST(SessionPins, releases_the_server_when_it_says_that_nothing_is_left) {
  for (const PinCase& pin : kPinCases) {
    SCOPED_TRACE(fmt::format("{}, {}", pin.makes, pin.ends));
    SessionScript s;
    s.send(pin.makes), s.answer({pin.makes_tag}, 'I'), s.answer_look(pin.letter);
    ASSERT_EQ(s.query(pin.ends), Intake::kTaken);
    s.answer({pin.ends_tag}, 'I'), s.answer_look("");
    expect_let_go(s);
    EXPECT_EQ(s.query(keyed(s, "pg2")), Intake::kLater);
    EXPECT_EQ(s.wanted_node(), "pg2");
  }
}

TEST(SessionPins, keeps_the_server_when_only_one_of_two_reasons_has_ended) {
  for (const PinCase& pin : kPinCases) {
    SCOPED_TRACE(fmt::format("{}, {}", pin.makes, pin.ends));
    SessionScript s;
    s.send(pin.makes), s.answer({pin.makes_tag}, 'I'), s.answer_look(pin.letter);
    ASSERT_EQ(s.query(pin.ends), Intake::kTaken);
    s.answer({pin.ends_tag}, 'I'), s.answer_look(pin.letter);  // another of the kind is left
    EXPECT_EQ(s.lease_end(), LeaseEnd::kNone);
    EXPECT_TRUE(s.session->is_pinned());
  }
}

TEST(SessionPins, is_released_at_once_by_a_transaction_that_was_rolled_back) {
  for (const PinCase& pin : kPinCases) {
    SCOPED_TRACE(pin.makes);
    SessionScript s;
    s.query("BEGIN"), s.send(pin.makes), s.answer({"BEGIN", pin.makes_tag}, 'T');
    s.query("ROLLBACK"), s.answer({"ROLLBACK"}, 'I');
    s.answer_look("");
    expect_let_go(s);
  }
}

// A lock taken before the error is there after it.
TEST(SessionPins, asks_also_behind_an_error) {
  SessionScript s;
  s.send("SELECT pg_advisory_lock(k) FROM unnest('{1,2}'::int[]) k"), s.to_server();
  s.server_error("57014", "canceling statement due to user request"), s.server_ready('I');
  s.answer_look("A");
  EXPECT_TRUE(s.session->is_pinned());
}

TEST(SessionPins, tells_the_one_reason_that_is_left) {
  SessionScript s;
  s.send("LISTEN x"), s.answer({"LISTEN"}, 'I'), s.answer_look("L");
  s.send("CREATE TEMP TABLE t (a int)"), s.answer({"CREATE TABLE"}, 'I'), s.answer_look("LT");
  s.send("UNLISTEN *"), s.answer({"UNLISTEN"}, 'I'), s.answer_look("T");
  s.to_client();
  s.query(keyed(s, "pg2"));
  EXPECT_NE(s.client_out.view().find("It is kept for: a temporary object."), std::string_view::npos);
  EXPECT_THAT(s.to_client(), ElementsAre(StartsWith("Error MZ014"), "Ready I"));
}

// A setting that was changed by other means than SET is like that no more.
TEST(SessionPins, is_released_by_reset_all_of_an_unknown_setting) {
  SessionScript s;
  s.send("UPDATE pg_settings SET setting = '1MB' WHERE name = 'work_mem'"), s.answer({"UPDATE 1"}, 'I');
  s.answer_look("");
  EXPECT_TRUE(s.session->is_pinned());
  s.send("RESET ALL"), s.answer({"RESET"}, 'I');
  expect_let_go(s);
}

// What set_config() amid a statement has set only the server knows: it is asked.
TEST(SessionPins, reads_a_setting_back_that_a_statement_has_made) {
  SessionScript s;
  s.send("SELECT set_config('work_mem', '1' || 'MB', false), 1"), s.answer({}, 'I');
  EXPECT_THAT(s.to_client(), ElementsAre("Complete SELECT 1", "Ready I"));
  EXPECT_THAT(s.to_server(), ElementsAre("Query SELECT pg_catalog.current_setting('work_mem',true)"));
  s.server_row("1MB"), s.server_complete("SELECT 1"), s.server_ready('I');
  if (s.session->phase() == Session::Phase::kResting) s.answer_look("");
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
  const std::string* value = s.memory.settings->find("work_mem");
  ASSERT_NE(value, nullptr);
  EXPECT_EQ(*value, "R1MB");
}

TEST(SessionPins, brings_the_server_of_a_pinned_client_to_rest_when_it_goes) {
  for (const PinCase& pin : kPinCases) {
    SessionScript s;
    s.send(pin.makes), s.answer({pin.makes_tag}, 'I'), s.answer_look(pin.letter);
    s.session->on_client_lost(false);
    s.answer_rest();
    EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
  }
}

TEST(SessionPins, closes_the_connection_whose_pinned_server_is_lost) {
  SessionScript s;
  s.send("LISTEN x"), s.answer({"LISTEN"}, 'I'), s.answer_look("L");
  s.to_client();
  s.session->on_server_lost(routing::Error{"08006", "lost", "", ""}, false);
  EXPECT_THAT(s.to_client(), ElementsAre("Error 08006 lost"));
  EXPECT_TRUE(s.outbox.close_client);
}

// --- DISCARD ALL of a pinned client: its server may go, but not as it is ---

void pin(SessionScript& s) {
  s.send("LISTEN x"), s.answer({"LISTEN"}, 'I'), s.answer_look("L");
  s.to_client(), s.lease_end();
}

TEST(SessionPins, rests_the_server_of_a_discard_all) {
  SessionScript s;
  pin(s);
  EXPECT_EQ(s.query("DISCARD ALL"), Intake::kTaken);
  EXPECT_THAT(s.to_client(), ElementsAre("Complete DISCARD ALL", "Ready I"));
  EXPECT_EQ(s.lease_end(), LeaseEnd::kNone);
  s.answer_rest();
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
  EXPECT_FALSE(s.session->is_pinned());
}

TEST(SessionPins, rests_the_server_of_a_discard_all_by_the_extended_protocol) {
  SessionScript s;
  pin(s);
  s.parse("", "DISCARD ALL"), s.bind("", ""), s.execute(), s.sync();
  EXPECT_THAT(s.to_client(), ElementsAre("ParseComplete", "BindComplete", "Complete DISCARD ALL", "Ready I"));
  EXPECT_EQ(s.lease_end(), LeaseEnd::kNone) << "the next client would get the notifications";
  s.answer_rest();
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
}

TEST(SessionPins, rests_the_server_of_a_discard_all_before_another_node_in_the_segment) {
  SessionScript s;
  pin(s);
  s.parse("", "DISCARD ALL"), s.bind("", ""), s.execute();
  s.parse("", "SELECT 1 FROM media WHERE user_id = $1");
  s.bind("", "", {std::to_string(s.user_on("pg2"))});
  EXPECT_NE(s.lease_end(), LeaseEnd::kReturn) << "the next client would get the notifications";
}

// PostgreSQL refuses it there (PreventInTransactionBlock() in xact.c).
TEST(SessionPins, leaves_a_discard_all_within_a_pipeline_to_the_server) {
  SessionScript s;
  pin(s);
  s.send_extended("SELECT 1"), s.send_extended("DISCARD ALL"), s.sync();
  EXPECT_THAT(s.to_server(), testing::Contains("Parse [] DISCARD ALL"));
  s.server('1', {}), s.server('2', {}), s.server_complete("SELECT 1"), s.server('1', {}), s.server('2', {});
  s.server_error("25001", "DISCARD ALL cannot run inside a transaction block"), s.server_ready('I');
  s.answer_look("L");
  EXPECT_TRUE(s.session->is_pinned());
}

TEST(SessionPins, forgets_names_and_settings_at_discard_all) {
  SessionScript s;
  pin(s);
  s.parse("q", "SELECT 1"), s.sync(), s.answer({}, 'I');
  s.send("SET work_mem = '1MB'"), s.answer({"SET"}, 'I');
  s.to_client();
  s.query("DISCARD ALL"), s.answer_rest();
  EXPECT_EQ(s.session->prepared_statements(), 0u);
  EXPECT_TRUE(s.memory.settings->is_empty());
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
}

// --- rest ---

TEST(SessionRest, follows_what_may_leave_anything) {
  for (const char* text : {kDo, "CALL p()", "SELECT unknown_function()", "SELECT setseed(0.5)",
                           "SELECT lo_open(1, 131072)", "SELECT dblink_connect('x')"}) {
    SCOPED_TRACE(text);
    SessionScript s;
    s.send(text), s.answer({"DONE"}, 'I');
    EXPECT_THAT(s.to_client(), ElementsAre("Complete DONE", "Ready I"))
        << "before the server is brought to rest";
    if (std::string_view(text).find("lo_open") != std::string_view::npos) {
      EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn) << "gone with its transaction";
      continue;
    }
    EXPECT_EQ(s.lease_end(), LeaseEnd::kNone);
    s.answer_rest();
    EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
    EXPECT_EQ(s.environment.rested_servers, 1u);
  }
}

TEST(SessionRest, follows_an_error_too) {
  SessionScript s;
  s.send(kDo), s.to_server();
  s.server_error("P0001", "raised"), s.server_ready('I');
  s.answer_rest();
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
}

TEST(SessionRest, follows_a_transaction_that_ran_it) {
  SessionScript s;
  s.query("BEGIN"), s.send(kDo), s.answer({"BEGIN", "DO"}, 'T');
  EXPECT_THAT(s.to_server(), IsEmpty());
  s.query("ROLLBACK"), s.answer({"ROLLBACK"}, 'I');
  s.answer_rest();
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
}

TEST(SessionRest, gives_the_clients_settings_back_to_a_server_that_has_been_rested) {
  SessionScript s;
  s.send("SET work_mem = '1MB'"), s.answer({"SET"}, 'I'), s.lease_end();
  s.send(kDo), s.answer({"DO"}, 'I'), s.answer_rest();
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
  EXPECT_TRUE(s.memory.settings->is_empty()) << "RESET ALL";
  EXPECT_EQ(s.query("SELECT 1"), Intake::kLater);
  s.grant();
  EXPECT_THAT(s.to_server(), ElementsAre(HasSubstr("work_mem")));
}

TEST(SessionRest, discards_a_server_that_can_not_be_brought_to_rest) {
  SessionScript s;
  s.send(kDo), s.answer({"DO"}, 'I'), s.to_client(), s.to_server();
  s.server_error("42501", "permission denied"), s.server_ready('I');
  EXPECT_EQ(s.lease_end(), LeaseEnd::kDiscard);
  EXPECT_THAT(s.to_client(), IsEmpty());
  EXPECT_TRUE(s.session->can_take());
}

TEST(SessionRest, discards_a_server_with_a_statement_that_somebody_has_prepared) {
  SessionScript s;
  s.send(kDo), s.answer({"DO"}, 'I'), s.answer_rest("2");
  EXPECT_EQ(s.lease_end(), LeaseEnd::kDiscard);
}

TEST(SessionRest, goes_on_when_the_server_is_lost_at_rest) {
  SessionScript s;
  s.send(kDo), s.answer({"DO"}, 'I'), s.to_client();
  s.session->on_server_lost(routing::Error{"08006", "lost", "", ""}, false);
  EXPECT_THAT(s.to_client(), IsEmpty()) << "the client has its answer";
  EXPECT_EQ(s.lease_end(), LeaseEnd::kDiscard);
  EXPECT_EQ(s.query("SELECT 1"), Intake::kLater);
}

TEST(SessionRest, goes_on_when_the_client_is_lost_meanwhile) {
  SessionScript s;
  s.send(kDo), s.answer({"DO"}, 'I');
  s.session->on_client_lost(false);
  EXPECT_FALSE(s.outbox.cancel_server) << "a cancel would spoil it";
  for (int round = 0; s.session->holds_server() && round < 3; ++round) s.answer_rest();
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
}

// --- settings that a server will not take ---

// What an earlier client left is at fault: the server is brought to rest, and the settings are tried again.
TEST(SessionRest, tries_settings_again_on_a_server_that_it_has_rested) {
  SessionScript s;
  s.memory.settings = s.name_values.intern({{"session_authorization", "Sr_low"}});
  s.session->on_login("app", {{"work_mem", "4MB"}}, 1, 2);
  s.grant(), s.to_server();
  s.server_error("42501", "permission denied"), s.server_ready('I');
  s.answer_rest();
  EXPECT_THAT(s.answer({}, 'I'), ElementsAre(HasSubstr("work_mem")));
  EXPECT_EQ(s.to_client().back(), "Ready I");
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
}

TEST(SessionRest, discards_a_server_that_will_not_take_settings_nor_rest) {
  SessionScript s;
  s.send("SET work_mem = '1MB'"), s.answer({"SET"}, 'I'), s.lease_end(), s.to_client();
  s.memory.settings = s.name_values.intern({{"role", "Sr_low"}});
  s.query("SELECT 1"), s.grant(), s.to_server();
  s.server_error("42501", "permission denied"), s.server_ready('I');
  s.answer_rest("1");
  EXPECT_EQ(s.lease_end(), LeaseEnd::kDiscard);
  s.query("SELECT 1");
  EXPECT_THAT(s.to_client(), ElementsAre(StartsWith("Error 08006"), "Ready I"));
}

// The rest before its first statement does not count for what the client did since.
TEST(SessionRest, rests_a_server_again_that_was_rested_before_its_client_used_it) {
  SessionScript s;
  s.send("SET work_mem = '1MB'"), s.answer({"SET"}, 'I'), s.lease_end(), s.to_client();
  s.memory.settings = s.name_values.intern({{"role", "Sr_low"}});
  s.query(kDo), s.grant(), s.to_server();
  s.server_error("42501", "permission denied"), s.server_ready('I');
  s.answer_rest();
  s.answer({"SET"}, 'I');
  ASSERT_EQ(s.query(kDo), Intake::kTaken);
  s.to_server();
  s.session->on_client_lost(false);
  s.server_complete("DO"), s.server_ready('I');
  EXPECT_EQ(s.lease_end(), LeaseEnd::kNone) << "it has what DO left";
  s.answer_rest();
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
}

}  // namespace
}  // namespace mosaic::proxy
