// COPY through a session: where its rows go, and how it ends.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/proxy/postgres/session/session_script.h"

namespace mosaic::proxy {
namespace {

using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;
using Intake = Session::Intake;

TEST(SessionCopy, copies_by_first_row_behind_a_description_without_sync) {
  SessionScript s;
  const int64_t user = s.user_on("pg2");
  s.parse("", "SELECT caption FROM media LIMIT 1");
  s.describe('S', "");
  s.grant();
  s.describe('S', "");
  s.client('H', {});
  s.server('1', {});
  s.server('t', std::string(2, '\0'));
  s.server('n', {});
  s.to_client();
  ASSERT_EQ(s.query("COPY media (user_id, caption) FROM STDIN"), Intake::kTaken) << "nothing is owed";
  s.session->on_copy_bytes(fmt::format("{}\ta\n", user));
  EXPECT_EQ(s.to_server().back(), "Sync") << "the first server is let go";
  s.server_ready('I');
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
  EXPECT_EQ(s.grant(), "pg2");
  s.server('G', std::string(3, '\0'));
  EXPECT_EQ(s.client('c', {}), Intake::kTaken);
  EXPECT_EQ(s.to_server().back(), "CopyDone");
}

TEST(SessionCopy, checks_each_row_of_a_copy_also_behind_rows_of_one_key) {
  SessionScript s;
  const int64_t user = s.user_on("pg2");
  int64_t neighbour = user + 1;  // another user of the same shard
  while (s.schema_of_user(neighbour) != s.schema_of_user(user)) ++neighbour;
  const int64_t stranger = s.user_on("pg1");
  s.query("COPY media (user_id, caption) FROM STDIN");
  s.session->on_copy_bytes(fmt::format("{}\ta\n", user));
  s.grant();
  s.server('G', std::string(3, '\0'));
  s.session->on_copy_bytes(fmt::format("{}\tb\n{}\tc\n{}\td\n{}\te\n", user, neighbour, neighbour, user));
  s.to_client();
  EXPECT_THAT(s.to_server(), Each(Not(StartsWith("CopyFail"))));
  s.session->on_copy_bytes(fmt::format("{}\tf\n{}\tg\n", user, stranger));
  EXPECT_THAT(s.to_server(), Contains(HasSubstr("row 7 belongs to shard")));
}

TEST(SessionCopy, copies_into_the_shard_of_the_first_row) {
  SessionScript s;
  const int64_t user = s.user_on("pg2");
  EXPECT_EQ(s.query("COPY media (user_id, caption) FROM STDIN"), Intake::kTaken);
  EXPECT_THAT(s.to_client(), ElementsAre("CopyIn"));
  s.session->on_copy_bytes(fmt::format("{}\tsun", user));
  s.session->on_copy_bytes("rise\n");
  EXPECT_EQ(s.grant(), "pg2");
  EXPECT_THAT(s.to_server(), ElementsAre(fmt::format("Query COPY {}.media (user_id, caption) FROM STDIN",
                                                     s.schema_of_user(user))));
  s.server('G', std::string(3, '\0'));
  EXPECT_THAT(s.to_client(), IsEmpty());
  s.client('c', {});
  const auto sent = s.to_server();
  EXPECT_EQ(sent.back(), "CopyDone");
  s.server_complete("COPY 1");
  s.server_ready('I');
  EXPECT_THAT(s.to_client(), ElementsAre("Complete COPY 1", "Ready I"));
}

TEST(SessionCopy, refuses_copy_rows_of_another_shard) {
  SessionScript s;
  s.query("COPY media (user_id, caption) FROM STDIN");
  s.session->on_copy_bytes(fmt::format("{}\ta\n", s.user_on("pg2")));
  s.grant();
  s.server('G', std::string(3, '\0'));
  s.to_client();
  s.session->on_copy_bytes(fmt::format("{}\tb\n", s.user_on("pg1")));
  EXPECT_THAT(s.to_server().back(), StartsWith("CopyFail"));
  s.server_error("57014", "COPY from stdin failed");
  s.server_ready('I');
  EXPECT_THAT(s.to_client(), ElementsAre(StartsWith("Error MZ011"), "Ready I"));
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
}

// --- by the extended protocol ---

constexpr const char* kCopy = "COPY media (user_id, caption) FROM STDIN";

// Parse, Bind, Execute of a COPY without a hint; the client has been told to send.
void begin_extended(SessionScript& s) {
  s.parse("", kCopy);
  if (s.bind("", "") == Intake::kLater) {
    s.grant();
    EXPECT_EQ(s.bind("", ""), Intake::kTaken);
  }
  if (s.execute() == Intake::kLater) {
    EXPECT_THAT(s.answer({}, 'I'), ElementsAre(StartsWith("Parse [] COPY"), "Flush"));
    EXPECT_EQ(s.execute(), Intake::kTaken);
  }
  EXPECT_THAT(s.to_client(), ElementsAre("ParseComplete", "BindComplete", "CopyIn"));
}

// The first row of a user on pg2; the server there takes data.
void route_extended(SessionScript& s, const std::string& row) {
  s.session->on_copy_bytes(row);
  while (s.session->holds_server() && !s.wants_lease() && s.session->phase() != Session::Phase::kDraining)
    ASSERT_FALSE(s.answer({}, 'I').empty());  // the server that parsed it is let go
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
  EXPECT_EQ(s.grant(), "pg2");
  EXPECT_THAT(s.to_server(),
              ElementsAre(StartsWith("Parse [] COPY shard_"), "Bind []", "Execute []", "Flush"));
  s.server('1', {}), s.server('2', {}), s.server('G', std::string(3, '\0'));
  EXPECT_THAT(s.to_server(), ElementsAre(StartsWith("CopyData ")));
  EXPECT_THAT(s.to_client(), IsEmpty());
}

void end_extended(SessionScript& s) {
  s.client('c', {});
  EXPECT_THAT(s.to_server(), ElementsAre("CopyDone"));
  s.server_complete("COPY 1");
  s.sync();
  s.answer({}, 'I');
  EXPECT_THAT(s.to_client(), ElementsAre("Complete COPY 1", "Ready I"));
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
}

TEST(SessionCopy, copies_by_first_row_by_the_extended_protocol) {
  SessionScript s;
  begin_extended(s);
  route_extended(s, fmt::format("{}\ta\n", s.user_on("pg2")));
  end_extended(s);
}

TEST(SessionCopy, copies_by_first_row_in_a_transaction_by_the_extended_protocol) {
  SessionScript s;
  s.query("BEGIN"), s.to_client();
  s.parse("", kCopy), s.bind("", ""), s.grant(), s.bind("", "");
  EXPECT_EQ(s.execute(), Intake::kLater);
  s.answer({"BEGIN"}, 'T');
  EXPECT_EQ(s.execute(), Intake::kTaken);
  EXPECT_THAT(s.to_client(), ElementsAre("ParseComplete", "BindComplete", "CopyIn"));
  s.session->on_copy_bytes(fmt::format("{}\ta\n", s.user_on("pg2")));
  EXPECT_THAT(s.answer({}, 'T'), ElementsAre("Sync"));
  EXPECT_THAT(s.answer({"ROLLBACK"}, 'I'), ElementsAre("Query ROLLBACK"));
  EXPECT_EQ(s.grant(), "pg2");
  EXPECT_THAT(s.to_server(),
              ElementsAre("Parse [] BEGIN", "Bind []", "Execute []", StartsWith("Parse [] COPY shard_"),
                          "Bind []", "Execute []", "Flush"));
}

TEST(SessionCopy, ends_an_extended_copy_without_rows_by_itself) {
  SessionScript s;
  begin_extended(s);
  s.client('c', {});
  EXPECT_THAT(s.to_client(), ElementsAre("Complete COPY 0"));
  s.sync();
  s.answer({}, 'I');
  EXPECT_THAT(s.to_client(), ElementsAre("Ready I"));
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
}

TEST(SessionCopy, fails_an_extended_copy_that_the_client_fails_before_its_first_row) {
  SessionScript s;
  begin_extended(s);
  s.client('f', std::string("enough\0", 7));
  s.sync();
  for (const std::string& line : s.to_server()) {
    if (line.find("refused") != std::string::npos) s.server_error("42601", "syntax error");
    if (line == "Sync") s.server_ready('I');
  }
  EXPECT_THAT(s.to_client(), ElementsAre("Error 57014 COPY from stdin failed: enough", "Ready I"));
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
}

TEST(SessionCopy, tells_an_error_of_the_server_that_a_row_led_to) {
  SessionScript s;
  begin_extended(s);
  s.session->on_copy_bytes(fmt::format("{}\ta\n", s.user_on("pg2")));
  while (s.session->holds_server() && !s.wants_lease()) ASSERT_FALSE(s.answer({}, 'I').empty());
  s.grant(), s.to_server(), s.lease_end();
  s.server_error("42501", "permission denied");
  s.session->on_copy_bytes("1\tb\n");
  s.client('c', {});
  s.sync();
  s.answer({}, 'I');
  EXPECT_THAT(s.to_client(), ElementsAre(StartsWith("Error 42501"), "Ready I"));
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
}

// Drivers send Sync right behind Execute, and another one behind the data: a server ignores the first.
TEST(SessionCopy, ignores_a_sync_before_the_first_row) {
  SessionScript s;
  begin_extended(s);
  s.sync();
  EXPECT_THAT(s.to_client(), IsEmpty());
  route_extended(s, fmt::format("{}\ta\n", s.user_on("pg2")));
  end_extended(s);
}

TEST(SessionCopy, ignores_a_sync_among_the_rows) {
  SessionScript s;
  begin_extended(s);
  route_extended(s, fmt::format("{}\ta\n", s.user_on("pg2")));
  s.sync(), s.flush();
  EXPECT_THAT(s.to_server(), IsEmpty());
  end_extended(s);
}

TEST(SessionCopy, ignores_a_sync_in_a_simple_copy) {
  SessionScript s;
  s.query(kCopy), s.sync();
  s.session->on_copy_bytes(fmt::format("{}\ta\n", s.user_on("pg2")));
  s.grant(), s.to_server(), s.server('G', std::string(3, '\0'));
  s.sync(), s.client('c', {});
  s.server_complete("COPY 1"), s.server_ready('I');
  EXPECT_THAT(s.to_client(), ElementsAre("CopyIn", "Complete COPY 1", "Ready I"));
}

// A COPY whose shard is known goes straight to its server; its Sync is on its way with it.
void begin_hinted(SessionScript& s) {
  s.query(fmt::format("SET mosaic.user_id = '{}'", s.user_on("pg2")));
  s.parse("", kCopy), s.bind("", ""), s.grant(), s.bind("", ""), s.execute();
  s.to_client();
}

TEST(SessionCopy, ignores_a_sync_that_came_with_the_execute) {
  SessionScript s;
  begin_hinted(s);
  s.sync(), s.to_server();
  s.server('1', {}), s.server('2', {}), s.server('G', std::string(3, '\0'));
  EXPECT_TRUE(s.session->is_copying());
  s.session->on_copy_bytes(fmt::format("{}\ta\n", s.user_on("pg2")));
  s.client('c', {}), s.to_server();
  s.server_complete("COPY 1");
  s.sync();
  EXPECT_THAT(s.answer({}, 'I'), ElementsAre("Sync"));
  EXPECT_THAT(s.to_client(),
              ElementsAre("ParseComplete", "BindComplete", "CopyIn", "Complete COPY 1", "Ready I"));
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
}

// PostgreSQL fails a COPY at any message that is not of it, and skips to the next Sync.
TEST(SessionCopy, fails_when_other_messages_come_behind_its_execute) {
  SessionScript s;
  begin_hinted(s);
  s.send_extended("SELECT 1"), s.sync(), s.to_server();
  s.server('1', {}), s.server('2', {}), s.server('G', std::string(3, '\0'));
  EXPECT_FALSE(s.session->is_copying());
  s.server_error("08P01", "unexpected message type 0x50 during COPY from stdin");
  s.server_ready('I');
  EXPECT_THAT(s.to_client(),
              ElementsAre("ParseComplete", "BindComplete", "CopyIn", StartsWith("Error 08P01"), "Ready I"));
  EXPECT_EQ(s.lease_end(), LeaseEnd::kReturn);
  EXPECT_EQ(s.session->owed_replies(), 0u);
}

// And ends the connection: what the message's length means is not known any more.
TEST(SessionCopy, ends_its_client_when_other_messages_come_before_the_first_row) {
  for (const char type : {'P', 'B', 'E', 'D', 'C', 'Q'}) {
    SCOPED_TRACE(type);
    SessionScript s;
    begin_extended(s);
    s.client(type, std::string(8, '\0'));
    EXPECT_FALSE(s.session->is_copying());
    EXPECT_THAT(s.to_client(),
                ElementsAre(HasSubstr("during COPY from stdin"), HasSubstr("synchronization was lost")));
    EXPECT_TRUE(s.outbox.close_client);
  }
}

TEST(SessionCopy, ends_its_client_when_other_messages_come_among_the_rows) {
  SessionScript s;
  begin_extended(s);
  route_extended(s, fmt::format("{}\ta\n", s.user_on("pg2")));
  s.parse("", "SELECT 1");
  EXPECT_THAT(s.to_client(),
              ElementsAre(HasSubstr("during COPY from stdin"), HasSubstr("synchronization was lost")));
  EXPECT_TRUE(s.outbox.close_client);
  EXPECT_EQ(s.session->phase(), Session::Phase::kAbandoned);
  EXPECT_THAT(s.to_server(), Contains(StartsWith("CopyFail")));
}

TEST(SessionCopy, goes_on_when_its_server_is_lost_before_it_takes_data) {
  SessionScript s;
  begin_extended(s);
  s.session->on_copy_bytes(fmt::format("{}\ta\n", s.user_on("pg2")));
  while (s.session->holds_server() && !s.wants_lease()) ASSERT_FALSE(s.answer({}, 'I').empty());
  s.grant();
  s.session->on_server_lost(routing::Error{"08006", "lost", "", ""}, false);
  s.client('c', {}), s.sync();
  EXPECT_THAT(s.to_client(), ElementsAre("Error 08006 lost", "Ready I"));
}

}  // namespace
}  // namespace mosaic::proxy
