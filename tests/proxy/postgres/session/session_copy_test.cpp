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

}  // namespace
}  // namespace mosaic::proxy
