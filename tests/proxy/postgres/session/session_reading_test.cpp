// What may change how text is read (standard_conforming_strings, client_encoding): nothing is read behind it
// before a server has told.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/proxy/postgres/session/session_script.h"

namespace mosaic::proxy {

using ::testing::ElementsAre;
using ::testing::StartsWith;
using Intake = Session::Intake;

namespace {

// Means something else under each setting; so does no text of ASCII without a backslash.
constexpr const char* kText = R"(SELECT '\' --')";

void expect_refused(SessionScript& s, const std::string& about) {
  EXPECT_THAT(s.to_server(), ElementsAre(StartsWith("Parse [] mosaic refused a statement: 0A000"), "Flush"))
      << about;
}

}  // namespace

TEST(SessionReading, is_in_doubt_behind_a_setting_amid_a_statement) {
  for (const char* change : {"SELECT set_config('client_encoding', 'LATIN1', false), 1",
                             "SELECT set_config('standard_conforming_strings', 'off', false) WHERE true",
                             "SELECT set_config($1, 'off', false)"}) {
    SessionScript s;
    s.send_extended(change, std::string_view(change).find('$') == std::string_view::npos
                                ? std::vector<std::string>()
                                : std::vector<std::string>{"standard_conforming_strings"});
    s.to_server();
    s.parse("", kText);
    expect_refused(s, change);
  }
}

TEST(SessionReading, is_not_in_doubt_behind_other_settings) {
  for (const char* change : {"SET search_path = public", "SELECT set_config('timezone', 'UTC', false), 1"}) {
    SessionScript s;
    s.send_extended(change);
    s.to_server();
    s.parse("", kText);
    s.bind("", "");
    EXPECT_THAT(s.to_server(), ElementsAre(StartsWith(std::string("Parse [] ") + kText), StartsWith("Bind")))
        << change;
  }
}

// A statement of an earlier segment would be parsed again, under what is not known yet.
TEST(SessionReading, in_doubt_lets_no_earlier_statement_be_used) {
  for (const bool is_described : {true, false}) {
    SessionScript s;
    s.parse("other", kText);
    s.sync();
    s.grant();
    s.answer({}, 'I');
    s.send_extended("SET standard_conforming_strings = off");
    s.to_server();
    EXPECT_EQ(is_described ? s.describe('S', "other") : s.bind("", "other"), Intake::kTaken);
    expect_refused(s, is_described ? "Describe" : "Bind");
  }
}

// A portal that was bound before an earlier Sync changes it when it runs.
TEST(SessionReading, is_in_doubt_behind_a_portal_of_an_earlier_segment) {
  SessionScript s;
  s.send("BEGIN");
  s.parse("", "SET LOCAL standard_conforming_strings = off");
  ASSERT_EQ(s.bind("later", ""), Intake::kLater);
  s.grant();
  s.bind("later", "");
  s.sync();
  s.answer({}, 'T');
  s.execute("later");
  s.to_server();
  s.parse("", kText);
  expect_refused(s, "Execute");
}

}  // namespace mosaic::proxy
