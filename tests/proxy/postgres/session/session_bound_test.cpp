// Simple queries whose plans servers keep: what goes to the server, and that the client sees what the query
// itself would have answered, whatever the server says.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/proxy/postgres/session/session_script.h"

namespace mosaic::proxy {
namespace {

using Intake = Session::Intake;
using testing::_;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

constexpr uint32_t kThreshold = 2;

class SessionBound : public testing::Test {
 protected:
  SessionBound() {
    s.environment.prepare_simple_queries = true;
    s.environment.prepare_threshold = kThreshold;
    user = s.user_on("pg1");
    select = "SELECT caption FROM media WHERE user_id = " + std::to_string(user);
    insert = "INSERT INTO media (user_id, caption) VALUES (" + std::to_string(user) + ", 'x')";
  }

  // Sends it and grants a server.
  std::vector<std::string> send(const std::string& text) {
    if (s.query(text) == Intake::kLater) {
      s.grant();
      EXPECT_EQ(s.query(text), Intake::kTaken);
    }
    return s.to_server();
  }
  // Answers as a server does that finds nothing wrong; returns what the client got.
  std::vector<std::string> answer(const std::vector<std::string>& sent, const char* tag = "SELECT 1") {
    for (const std::string& line : sent) {
      if (line.starts_with("Close")) s.server('3', {});
      if (line.starts_with("Parse")) s.server('1', {});
      if (line.starts_with("Bind")) s.server('2', {});
      if (line.starts_with("Describe") || line.starts_with("Query"))
        s.server('T', std::string_view("\0\0", 2));
    }
    s.server('D', std::string_view("\0\0", 2));
    s.server_complete(tag);
    s.server_ready('I');
    EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
    return s.to_client();
  }
  std::vector<std::string> run(const std::string& text) { return answer(send(text)); }
  void become_familiar(const std::string& text) {
    for (uint32_t i = 1; i < kThreshold; ++i) run(text);
  }
  // The next one is bound to a statement that the server has.
  void become_kept(const std::string& text) {
    become_familiar(text);
    run(text);
  }

  SessionScript s;
  int64_t user;
  std::string select, insert;
};

TEST_F(SessionBound, prepares_what_comes_often) {
  EXPECT_THAT(send(select), ElementsAre(StartsWith("Query ")));
  answer({"Query"});
  const auto first = send(select);
  EXPECT_THAT(first,
              ElementsAre("Parse [mosaic_1_" + std::string(1, first[0][16]) + "] SELECT caption FROM " +
                              s.schema_of_user(user) + ".media WHERE user_id = $1",
                          StartsWith("Bind [mosaic_"), "Describe P []", "Execute []", "Sync"));
  EXPECT_THAT(answer(first), ElementsAre("RowDescription", "Row", "Complete SELECT 1", "Ready I"));
  const auto second = send(select);
  EXPECT_THAT(second, ElementsAre(StartsWith("Bind [mosaic_"), "Describe P []", "Execute []", "Sync"));
  EXPECT_THAT(answer(second), ElementsAre("RowDescription", "Row", "Complete SELECT 1", "Ready I"));
  EXPECT_EQ(s.environment.bound_queries, 2u);
  EXPECT_EQ(s.environment.unbound_queries, 0u);
}

// What it keeps while in flight it gives back: a client that comes to rest holds none of it.
TEST_F(SessionBound, gives_its_buffer_back) {
  become_familiar(select);
  answer(send(select));
  const size_t at_rest = s.environment.buffers->size();
  const auto sent = send(select);
  EXPECT_LT(s.environment.buffers->size(), at_rest);
  answer(sent);
  EXPECT_EQ(s.environment.buffers->size(), at_rest);
  send(select);
  EXPECT_LT(s.environment.buffers->size(), at_rest) << "it is lent again";
  s.server_error("42804", "no");
  s.server_ready('I');  // goes as it came
  s.server_complete("SELECT 1"), s.server_ready('I');
  EXPECT_EQ(s.environment.buffers->size(), at_rest);
}

TEST_F(SessionBound, drops_no_data_where_a_simple_query_knows_none) {
  become_kept(insert);
  send(insert);
  s.server('2', {}), s.server('n', {}), s.server_complete("INSERT 0 1"), s.server_ready('I');
  EXPECT_THAT(s.to_client(), ElementsAre("Complete INSERT 0 1", "Ready I"));
}

TEST_F(SessionBound, forwards_notices) {
  become_familiar(insert);
  send(insert);
  s.server('N', std::string_view("\0", 1)), s.server('1', {}), s.server('2', {}), s.server('n', {});
  s.server('N', std::string_view("\0", 1)), s.server_complete("INSERT 0 1"), s.server_ready('I');
  EXPECT_THAT(s.to_client(), ElementsAre("Notice", "Notice", "Complete INSERT 0 1", "Ready I"));
}

// The implicit transaction commits with the Sync: a deferred constraint may yet fail.
TEST_F(SessionBound, says_complete_only_when_committed) {
  become_kept(insert);
  send(insert);
  s.server('2', {}), s.server('n', {}), s.server_complete("INSERT 0 1");
  EXPECT_THAT(s.to_client(), IsEmpty());
  s.server_error("23503", "violates foreign key constraint");
  s.server_ready('I');
  EXPECT_THAT(s.to_client(), ElementsAre(HasSubstr("23503"), "Ready I"));
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
  EXPECT_THAT(run(insert), Contains("Complete SELECT 1")) << "nothing of it is left over";
}

TEST_F(SessionBound, tells_an_error_of_its_run) {
  become_kept(select);
  send(select);
  s.server('2', {}), s.server('T', std::string_view("\0\0", 2)), s.server('D', std::string_view("\0\0", 2));
  s.server_error("22012", "division by zero");
  s.server_ready('I');
  EXPECT_THAT(s.to_client(), ElementsAre("RowDescription", "Row", HasSubstr("22012"), "Ready I"));
  EXPECT_THAT(send(select), Contains(StartsWith("Bind"))) << "the statement is as good as before";
}

// Text that the parser will not take for a column: as written it would.
TEST_F(SessionBound, runs_as_it_came_what_does_not_parse) {
  become_familiar(insert);
  const auto sent = send(insert);
  EXPECT_THAT(sent, Contains(StartsWith("Parse")));
  s.server_error("42804", "column is of type jsonb but expression is of type text");
  EXPECT_THAT(s.to_client(), IsEmpty());
  EXPECT_THAT(s.to_server(), IsEmpty()) << "the server skips until the Sync";
  s.server_ready('I');
  const auto anew = s.to_server();
  EXPECT_THAT(anew, ElementsAre("Query INSERT INTO " + s.schema_of_user(user) +
                                ".media (user_id, caption) VALUES (" + std::to_string(user) + ", 'x')"));
  EXPECT_THAT(answer(anew, "INSERT 0 1"), Contains("Complete INSERT 0 1"));
  for (int i = 0; i < 5; ++i) {
    EXPECT_THAT(send(insert), ElementsAre(StartsWith("Query "))) << "it will not parse the next time either";
    answer({"Query"});
  }
  EXPECT_EQ(s.environment.unbound_queries, 1u);
  EXPECT_EQ(s.memory.statements.size(), 0u);
}

// One user's missing privilege must not cost all others their plans.
TEST_F(SessionBound, tries_again_what_failed_for_a_user_or_a_shard) {
  for (const char* sqlstate : {"42501", "42P01"}) {
    become_kept(select);
    send(select);
    s.server_error(sqlstate, "no");
    s.server_ready('I');
    if (s.wants_lease()) {  // the shard may have moved
      s.grant(), s.to_server();
      s.server_error(sqlstate, "no");
      s.server_ready('I');
    }
    EXPECT_THAT(s.to_server(), ElementsAre(StartsWith("Query ")));
    s.server_error(sqlstate, "no");
    s.server_ready('I');
    EXPECT_THAT(s.to_client(), ElementsAre(HasSubstr(sqlstate), "Ready I"));
    s.lease_end();
    EXPECT_THAT(send(select), Contains(StartsWith("Bind")));
    answer({"Bind", "Describe"});
  }
}

TEST_F(SessionBound, runs_as_they_came_values_that_do_not_bind) {
  become_kept(insert);
  send(insert);
  s.server_error("22P02", "invalid input syntax");
  s.server_ready('I');
  const auto anew = s.to_server();
  EXPECT_THAT(anew, ElementsAre(StartsWith("Query ")));
  s.server_error("22P02", "invalid input syntax for type date");
  s.server_ready('I');
  EXPECT_THAT(s.to_client(), ElementsAre("Error 22P02 invalid input syntax for type date", "Ready I"));
  s.lease_end();
  EXPECT_THAT(send(insert), Contains(StartsWith("Bind"))) << "other values may be fine";
}

TEST_F(SessionBound, runs_as_it_came_what_has_a_stale_plan) {
  become_kept(select);
  send(select);
  s.server('E', std::string("SERROR") + '\0' + "C0A000" + '\0' + "Mcached plan must not change result type" +
                    '\0' + "RRevalidateCachedQuery" + '\0' + '\0');
  s.server_ready('I');
  const auto anew = s.to_server();
  EXPECT_THAT(anew, ElementsAre(StartsWith("Query ")));
  EXPECT_THAT(answer(anew), ElementsAre("RowDescription", "Row", "Complete SELECT 1", "Ready I"));
  EXPECT_EQ(s.environment.ddl_statements, 1u) << "the other workers hear of it";
  EXPECT_THAT(send(select), Contains(StartsWith("Parse [mosaic_"))) << "a new plan, by a new name";
}

TEST_F(SessionBound, prepares_again_what_the_server_has_lost) {
  become_kept(select);
  send(select);
  s.server_error("26000", "prepared statement does not exist");
  s.server_ready('I');
  answer(s.to_server());
  EXPECT_THAT(send(select), Contains(StartsWith("Parse [mosaic_")));
}

TEST_F(SessionBound, tells_a_cancel_that_came_before_it_ran) {
  become_familiar(select);
  send(select);
  s.session->on_cancel_request();
  EXPECT_TRUE(s.outbox.cancel_server);
  s.server_error("57014", "canceling statement due to user request");
  s.server_ready('I');
  EXPECT_THAT(s.to_client(), ElementsAre(HasSubstr("57014"), "Ready I"));
  EXPECT_THAT(s.to_server(), IsEmpty());
}

// In a transaction a failed Parse would end it.
TEST_F(SessionBound, leaves_transactions_alone) {
  become_kept(select);
  s.query("BEGIN");
  EXPECT_THAT(send(select), Contains(StartsWith("Query SELECT")));
}

TEST_F(SessionBound, leaves_queries_alone_when_told_to) {
  s.environment.prepare_simple_queries = false;
  for (int i = 0; i < 5; ++i) {
    EXPECT_THAT(send(select), ElementsAre(StartsWith("Query ")));
    answer({"Query"});
  }
}

TEST_F(SessionBound, hides_positions_in_a_text_that_the_client_has_never_seen) {
  become_kept(select);
  send(select);
  s.server('2', {});
  s.server('E', std::string("SERROR") + '\0' + "C22012" + '\0' + "Mno" + '\0' + "P99" + '\0' + '\0');
  EXPECT_EQ(s.client_out.view().find("P99"), std::string_view::npos);
  EXPECT_THAT(s.to_client(), ElementsAre("Error 22012 no"));
}

TEST_F(SessionBound, brings_the_server_to_rest_when_the_client_goes) {
  become_familiar(select);
  send(select);
  s.session->on_client_lost(false);
  s.server_error("42804", "no");
  s.server_ready('I');
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
  EXPECT_THAT(s.to_server(), IsEmpty());
  EXPECT_EQ(s.memory.statements.size(), 0u) << "the Parse has failed";
}

TEST_F(SessionBound, tells_when_the_server_is_lost) {
  become_kept(insert);
  send(insert);
  s.server('2', {}), s.server('n', {}), s.server_complete("INSERT 0 1");
  s.session->on_server_lost(routing::Error{"57P01", "gone", "", ""}, false);
  EXPECT_THAT(s.to_client(), ElementsAre("Error 57P01 gone", "Ready I"))
      << "whether it committed is not known";
}

}  // namespace
}  // namespace mosaic::proxy
