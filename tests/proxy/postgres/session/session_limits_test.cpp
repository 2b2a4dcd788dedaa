// What one client can take, the function call protocol, prepared transactions over nodes, and the last words
// of a server.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/proxy/postgres/session/session_script.h"

namespace mosaic::proxy {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;
using Intake = Session::Intake;

std::string keyed(const SessionScript& s, const char* node) {
  return fmt::format("SELECT 1 FROM media WHERE user_id = {}", s.user_on(node));
}

// --- max_pipeline_messages ---

// As many Executes as are taken; the portal was bound before.
int executes_taken(SessionScript& s, int most) {
  int taken = 0;
  while (taken < most && s.execute() == Intake::kTaken) ++taken;
  return taken;
}

TEST(SessionLimits, lets_a_server_answer_before_a_pipeline_goes_on) {
  SessionScript s;
  s.environment.max_pipeline_messages = 10;
  s.send_extended("SELECT 1");
  EXPECT_EQ(executes_taken(s, 100), 7) << "with Parse, Bind and the first Execute: 10";
  EXPECT_FALSE(s.session->can_take());
  EXPECT_EQ(s.to_server().back(), "Flush") << "or the server would keep its answers";
  s.server('1', {}), s.server('2', {});
  for (int i = 0; i < 7; ++i) s.server_complete("SELECT 1");
  EXPECT_FALSE(s.session->can_take());
  s.server_complete("SELECT 1");
  EXPECT_TRUE(s.session->can_take());
  EXPECT_EQ(executes_taken(s, 100), 10);
}

TEST(SessionLimits, drains_also_before_a_sync) {
  SessionScript s;
  s.environment.max_pipeline_messages = 3;
  s.send_extended("SELECT 1");
  EXPECT_EQ(s.sync(), Intake::kLater);
  EXPECT_THAT(s.answer({}, 'I'), Contains("Flush"));
  EXPECT_EQ(s.sync(), Intake::kTaken);
  s.answer({}, 'I');
  EXPECT_THAT(s.to_client(), ElementsAre("ParseComplete", "BindComplete", "Complete SELECT 1", "Ready I"));
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
}

TEST(SessionLimits, skips_what_waited_when_the_pipeline_fails_while_it_drains) {
  SessionScript s;
  s.environment.max_pipeline_messages = 4;
  s.send_extended("SELECT 1 / 0");
  EXPECT_EQ(executes_taken(s, 100), 1);
  s.to_server();
  s.server('1', {}), s.server('2', {}), s.server_error("22012", "division by zero");
  EXPECT_EQ(executes_taken(s, 100), 100) << "skipped";
  EXPECT_THAT(s.to_server(), IsEmpty());
  s.sync();
  s.answer({}, 'I');
  EXPECT_THAT(s.to_client(),
              ElementsAre("ParseComplete", "BindComplete", StartsWith("Error 22012"), "Ready I"));
}

TEST(SessionLimits, counts_replies_of_its_own) {
  SessionScript s;
  s.environment.max_pipeline_messages = 8;
  s.send_extended("SELECT 1");
  int taken = 0;
  while (taken < 100 && s.close('S', "nothing") == Intake::kTaken) ++taken;
  EXPECT_EQ(taken, 5);
}

TEST(SessionLimits, goes_on_when_the_server_is_lost_while_a_pipeline_drains) {
  SessionScript s;
  s.environment.max_pipeline_messages = 4;
  s.send_extended("SELECT 1"), executes_taken(s, 100);
  s.session->on_server_lost(routing::Error{"08006", "lost", "", ""}, false);
  EXPECT_TRUE(s.session->can_take());
  s.sync();
  EXPECT_THAT(s.to_client(), ElementsAre("Error 08006 lost", "Ready I"));
}

TEST(SessionLimits, cancels_a_pipeline_that_drains) {
  SessionScript s;
  s.environment.max_pipeline_messages = 4;
  s.send_extended("SELECT 1"), executes_taken(s, 100);
  s.session->on_cancel_request();
  EXPECT_TRUE(s.outbox.cancel_server);
}

// --- max_client_prepared_bytes ---

TEST(SessionLimits, bounds_the_bytes_of_prepared_statements) {
  SessionScript s;
  s.environment.max_client_prepared_bytes = 10'000;
  const auto text = [](int i) { return fmt::format("SELECT {}, '{}'", i, std::string(500, 'x')); };
  int prepared = 0;
  std::vector<std::string> said;
  for (; prepared < 50; ++prepared) {
    s.parse(fmt::format("s{}", prepared), text(prepared));
    if (s.sync() == Intake::kLater) s.grant(), s.sync();
    s.answer({}, 'I'), s.lease_end();
    said = s.to_client();
    if (said[0] != "ParseComplete") break;
  }
  EXPECT_GT(prepared, 2);
  EXPECT_LT(prepared, 20);
  EXPECT_THAT(said, ElementsAre(StartsWith("Error 54000 too many prepared statements"), "Ready I"));
  // Each way to give a statement back makes room.
  s.query("DEALLOCATE s0"), s.close('S', "s1"), s.sync(), s.to_client();
  for (const char* name : {"new 1", "new 2"}) {
    s.parse(name, text(99));
    if (s.sync() == Intake::kLater) s.grant(), s.sync();
    s.answer({}, 'I'), s.lease_end();
    EXPECT_THAT(s.to_client(), ElementsAre("ParseComplete", "Ready I"));
  }
  s.query("DEALLOCATE ALL");
  EXPECT_EQ(s.session->prepared_statements(), 0u);
}

TEST(SessionLimits, counts_a_text_for_each_name_of_it) {
  SessionScript s;
  s.environment.max_client_prepared_bytes = 10'000;
  const std::string text = fmt::format("SELECT '{}'", std::string(500, 'x'));
  s.parse("s", text), s.sync(), s.grant(), s.sync(), s.answer({}, 'I'), s.lease_end(), s.to_client();
  int prepared = 1;
  for (; prepared < 50; ++prepared) {
    s.parse(fmt::format("s{}", prepared), text), s.sync();
    if (s.to_client()[0] != "ParseComplete") break;
  }
  EXPECT_LT(prepared, 20);
}

TEST(SessionLimits, counts_no_statement_that_failed) {
  SessionScript s;
  s.environment.max_client_prepared_bytes = 5'000;
  for (int i = 0; i < 30; ++i) {
    s.parse("s", fmt::format("SELEC {} {}", i, std::string(500, 'x')));
    if (s.sync() == Intake::kLater) s.grant(), s.sync();
    s.to_server();
    s.server_error("42601", "syntax error"), s.server_ready('I'), s.lease_end();
    ASSERT_THAT(s.to_client(), ElementsAre(StartsWith("Error 42601"), "Ready I"));
  }
}

TEST(SessionLimits, counts_the_unnamed_statement_once) {
  SessionScript s;
  s.environment.max_client_prepared_bytes = 5'000;
  for (int i = 0; i < 30; ++i) {
    s.send_extended(fmt::format("SELECT {}, '{}'", i, std::string(500, 'x'))), s.sync();
    s.answer({}, 'I'), s.lease_end();
    ASSERT_THAT(s.to_client(), ElementsAre("ParseComplete", "BindComplete", "Complete SELECT 1", "Ready I"));
  }
}

TEST(SessionLimits, refuses_one_statement_that_is_larger_than_all_may_be) {
  SessionScript s;
  s.environment.max_client_prepared_bytes = 1'000;
  s.parse("s", fmt::format("SELECT '{}'", std::string(2'000, 'x'))), s.sync();
  EXPECT_THAT(s.to_client(), ElementsAre(StartsWith("Error 54000"), "Ready I"));
}

// --- function calls ---

constexpr std::string_view kLoOpen("\0\0\3\xb8\0\0\0\0\0\0", 10);    // 952
constexpr std::string_view kOfUser("\0\0\x7f\xff\0\0\0\0\0\0", 10);  // a function that a user has defined

Intake call(SessionScript& s, std::string_view body = kLoOpen) { return s.client('F', body); }
void answer_call(SessionScript& s, char status) {
  EXPECT_EQ(s.to_server().back(), "FunctionCall");
  s.server('V', std::string_view("\xff\xff\xff\xff", 4)), s.server_ready(status);
}

TEST(SessionFunctionCall, goes_to_the_default_node) {
  SessionScript s;
  EXPECT_EQ(call(s), Intake::kLater);
  EXPECT_EQ(s.grant(), "pg1");
  EXPECT_EQ(call(s), Intake::kTaken);
  answer_call(s, 'I');
  EXPECT_THAT(s.to_client(), ElementsAre("FunctionResult", "Ready I"));
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
}

TEST(SessionFunctionCall, takes_a_portable_transaction_to_the_default_node_and_binds_it) {
  SessionScript s;
  s.send(keyed(s, "pg2")), s.answer({}, 'I'), s.lease_end();
  s.query("BEGIN"), s.send("SELECT 1"), s.answer({"BEGIN"}, 'T');
  EXPECT_EQ(call(s), Intake::kLater);
  s.answer({"ROLLBACK"}, 'I');
  EXPECT_EQ(call(s), Intake::kLater);
  EXPECT_EQ(s.grant(), "pg1");
  EXPECT_EQ(call(s), Intake::kTaken);
  EXPECT_THAT(s.to_server(), ElementsAre("Parse [] BEGIN", "Bind []", "Execute []", "FunctionCall"));
  s.server('1', {}), s.server('2', {}), s.server_complete("BEGIN");
  s.server('V', std::string_view("\xff\xff\xff\xff", 4)), s.server_ready('T');
  s.query(keyed(s, "pg2"));
  EXPECT_THAT(s.to_server(), ElementsAre(HasSubstr("refused a statement: MZ014")));
}

TEST(SessionFunctionCall, is_refused_in_a_transaction_on_another_node) {
  SessionScript s;
  s.query("BEGIN"), s.send(keyed(s, "pg2")), s.answer({"BEGIN"}, 'T'), s.to_client();
  EXPECT_EQ(call(s), Intake::kTaken);
  EXPECT_THAT(s.to_server(), ElementsAre(HasSubstr("refused a statement: MZ014")));
  s.server_error("42601", "syntax error"), s.server_ready('E');
  EXPECT_THAT(s.to_client(), ElementsAre(StartsWith("Error MZ014"), "Ready E"));
  EXPECT_EQ(call(s), Intake::kTaken) << "the server says that the transaction has failed";
  EXPECT_THAT(s.to_server(), ElementsAre("FunctionCall"));
}

TEST(SessionFunctionCall, brings_the_server_to_rest_behind_a_function_of_a_user) {
  SessionScript s;
  call(s, kOfUser), s.grant(), call(s, kOfUser);
  answer_call(s, 'I');
  s.answer_rest();
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
}

TEST(SessionFunctionCall, tells_the_error_of_the_function) {
  SessionScript s;
  call(s), s.grant(), call(s), s.to_server();
  s.server_error("42704", "large object 1 does not exist"), s.server_ready('I');
  EXPECT_THAT(s.to_client(), ElementsAre(StartsWith("Error 42704"), "Ready I"));
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
}

// --- COMMIT PREPARED: which node has it? ---

// Answers the search: how many each node has.
void answer_search(SessionScript& s, std::vector<std::string> counts) {
  for (size_t node = 0; node < counts.size(); ++node) {
    ASSERT_EQ(s.grant(), fmt::format("pg{}", node + 1));
    EXPECT_THAT(s.to_server(),
                ElementsAre(testing::AllOf(HasSubstr("pg_prepared_xacts"), HasSubstr("'g1'"))));
    s.server_row(counts[node]), s.server_complete("SELECT 1"), s.server_ready('I');
    EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
  }
}

TEST(SessionPreparedTransaction, is_ended_on_the_node_that_has_it) {
  for (const char* text : {"COMMIT PREPARED 'g1'", "ROLLBACK PREPARED 'g1'"}) {
    for (const char* node : {"pg1", "pg2"}) {
      SCOPED_TRACE(fmt::format("{} on {}", text, node));
      SessionScript s;
      EXPECT_EQ(s.query(text), Intake::kLater);
      const bool is_first = std::string_view(node) == "pg1";
      answer_search(s, {is_first ? "1" : "0", is_first ? "0" : "1"});
      EXPECT_EQ(s.query(text), Intake::kLater);
      EXPECT_EQ(s.grant(), node);
      EXPECT_EQ(s.query(text), Intake::kTaken);
      EXPECT_THAT(s.answer({"COMMIT PREPARED"}, 'I'), ElementsAre(fmt::format("Query {}", text)));
      EXPECT_THAT(s.to_client(), ElementsAre("Complete COMMIT PREPARED", "Ready I"));
      EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
    }
  }
}

TEST(SessionPreparedTransaction, is_missed_by_the_default_node_when_no_node_has_it) {
  SessionScript s;
  s.query("COMMIT PREPARED 'g1'");
  answer_search(s, {"0", "0"});
  EXPECT_EQ(s.query("COMMIT PREPARED 'g1'"), Intake::kLater);
  EXPECT_EQ(s.grant(), "pg1");
  s.query("COMMIT PREPARED 'g1'"), s.to_server();
  s.server_error("42704", "prepared transaction with identifier \"g1\" does not exist"), s.server_ready('I');
  EXPECT_THAT(s.to_client(), ElementsAre(StartsWith("Error 42704"), "Ready I"));
}

TEST(SessionPreparedTransaction, is_not_ended_when_two_nodes_have_one_of_its_name) {
  SessionScript s;
  s.query("COMMIT PREPARED 'g1'");
  answer_search(s, {"1", "1"});
  EXPECT_EQ(s.query("COMMIT PREPARED 'g1'"), Intake::kTaken);
  EXPECT_FALSE(s.wants_lease());
  EXPECT_THAT(s.to_client(),
              ElementsAre(HasSubstr("more than one node has a prepared transaction"), "Ready I"));
}

TEST(SessionPreparedTransaction, is_not_ended_while_a_node_can_not_be_asked) {
  SessionScript s;
  s.query("COMMIT PREPARED 'g1'");
  answer_search(s, {"0"});
  s.outbox.lease_request.reset();
  s.session->on_lease_failed(routing::Error{"MZ020", "node is down", "", ""});
  EXPECT_EQ(s.query("COMMIT PREPARED 'g1'"), Intake::kTaken);
  EXPECT_THAT(s.to_client(), ElementsAre("Error MZ020 node is down", "Ready I"));
}

TEST(SessionPreparedTransaction, is_not_ended_when_the_asked_server_is_lost) {
  SessionScript s;
  s.query("COMMIT PREPARED 'g1'"), s.grant();
  s.session->on_server_lost(routing::Error{"08006", "lost", "", ""}, false);
  EXPECT_EQ(s.lease_end(), LeaseEnd::kDiscard);
  EXPECT_EQ(s.query("COMMIT PREPARED 'g1'"), Intake::kTaken);
  EXPECT_THAT(s.to_client(), ElementsAre("Error 08006 lost", "Ready I"));
}

TEST(SessionPreparedTransaction, is_searched_for_each_name_anew) {
  SessionScript s;
  s.query("COMMIT PREPARED 'g1'");
  answer_search(s, {"0", "1"});
  s.query("COMMIT PREPARED 'g1'"), s.grant(), s.query("COMMIT PREPARED 'g1'");
  s.answer({"COMMIT PREPARED"}, 'I'), s.lease_end();
  EXPECT_EQ(s.query("COMMIT PREPARED 'g1'"), Intake::kLater);
  answer_search(s, {"0", "0"});
}

TEST(SessionPreparedTransaction, is_found_by_the_extended_protocol_too) {
  SessionScript s;
  s.parse("", "COMMIT PREPARED 'g1'");
  ASSERT_EQ(s.bind("", ""), Intake::kLater);
  answer_search(s, {"0", "1"});
}

// --- the last words of a server ---

constexpr char kFatalFields[] =
    "SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0";
constexpr std::string_view kFatal(kFatalFields, sizeof kFatalFields);

TEST(SessionLastWords, are_told_once_as_an_error) {
  SessionScript s;
  s.send(keyed(s, "pg1")), s.to_server();
  s.server('E', kFatal);
  EXPECT_THAT(s.to_client(), IsEmpty()) << "until the server has gone";
  s.session->on_server_lost(routing::Error{"08006", "lost", "", ""}, false);
  const std::string raw(s.client_out.view());
  EXPECT_EQ(raw.find("FATAL"), std::string::npos) << "the client's connection goes on";
  EXPECT_THAT(s.to_client(),
              ElementsAre("Error 57P01 terminating connection due to administrator command", "Ready I"));
  EXPECT_EQ(s.lease_end(), LeaseEnd::kDiscard);
  EXPECT_FALSE(s.outbox.close_client);
  EXPECT_EQ(s.query(keyed(s, "pg1")), Intake::kLater);
}

TEST(SessionLastWords, are_told_once_in_a_segment) {
  SessionScript s;
  s.send_extended("SELECT 1");
  s.to_client();
  s.server('E', kFatal);
  s.session->on_server_lost(routing::Error{"08006", "lost", "", ""}, false);
  EXPECT_THAT(s.to_client(), ElementsAre(StartsWith("Error 57P01")));
  s.sync();
  EXPECT_THAT(s.to_client(), ElementsAre("Ready I"));
}

TEST(SessionLastWords, are_told_with_the_next_statement_of_a_transaction) {
  SessionScript s;
  s.query("BEGIN"), s.send(keyed(s, "pg1")), s.answer({"BEGIN"}, 'T'), s.to_client();
  s.server('E', kFatal);
  s.session->on_server_lost(routing::Error{"08006", "lost", "", ""}, false);
  EXPECT_THAT(s.to_client(), IsEmpty());
  s.query("SELECT 1");
  EXPECT_THAT(s.to_client(), ElementsAre(StartsWith("Error 57P01"), "Ready E"));
  s.query("SELECT 1");
  EXPECT_THAT(s.to_client(), ElementsAre(StartsWith("Error 25P02"), "Ready E"));
}

TEST(SessionLastWords, end_the_connection_of_a_pinned_client) {
  SessionScript s;
  s.send("LISTEN x"), s.answer({"LISTEN"}, 'I'), s.answer_look("L"), s.to_client();
  s.server('E', kFatal);
  s.session->on_server_lost(routing::Error{"08006", "lost", "", ""}, false);
  const std::string raw(s.client_out.view());
  EXPECT_NE(raw.find("SFATAL"), std::string::npos);
  EXPECT_THAT(s.to_client(), ElementsAre(StartsWith("Error 57P01")));
  EXPECT_TRUE(s.outbox.close_client);
}

TEST(SessionLastWords, of_one_server_are_not_told_for_the_next) {
  SessionScript s;
  s.send(keyed(s, "pg1")), s.server('E', kFatal);
  s.session->on_server_lost(routing::Error{"08006", "lost", "", ""}, false);
  s.lease_end(), s.to_client(), s.to_server();
  s.send(keyed(s, "pg1"));
  s.session->on_server_lost(routing::Error{"08006", "lost", "", ""}, false);
  EXPECT_THAT(s.to_client(), ElementsAre("Error 08006 lost", "Ready I"));
}

}  // namespace
}  // namespace mosaic::proxy
