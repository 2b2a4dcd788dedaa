// Keys of clients in other encodings than UTF8: one key, one shard, by whatever way it comes. That the tables
// are PostgreSQL's is for tests/end_to_end/encoding_test.py to tell.

#include "routing/postgres/client_encoding.h"

#include <gtest/gtest.h>

#include <string>

#include "routing/postgres/copy_rows.h"
#include "tests/routing/postgres/route_harness.h"

namespace mosaic::routing {

using namespace testing;
using namespace std::string_literals;

namespace {

constexpr ClientEncoding kLatin1 = ClientEncoding::kLatin1;

ShardId shard_of_email(std::string_view email) {
  KeyValue key;
  key.type = KeyType::kText;
  key.text = email;
  return shard_of(ShardFunction::kXxh3, key, sample_catalog().shard_count());
}

Result<Route> route_in(ClientEncoding encoding, std::string_view text, const Parameters& parameters = {},
                       const Hint& setting = {}) {
  return route(analyze(text), parameters, setting, sample_catalog(), kAnywhere, encoding);
}

void expect_email(ClientEncoding encoding, std::string_view text, std::string_view email,
                  const Parameters& parameters = {}) {
  const auto decided = route_in(encoding, text, parameters);
  ASSERT_TRUE(decided) << text << ": " << decided.error().to_line();
  EXPECT_EQ(decided->shard, shard_of_email(email)) << text;
}

std::string utf8_of(ClientEncoding encoding, std::string_view bytes) {
  std::string scratch;
  const auto utf8 = to_utf8(encoding, bytes, scratch);
  return utf8 ? std::string(*utf8) : utf8.error().sqlstate;
}

}  // namespace

TEST(ClientEncoding, is_found_by_names_and_aliases) {
  using E = ClientEncoding;
  for (const auto& [name, encoding] : std::initializer_list<std::pair<const char*, ClientEncoding>>{
           {"UTF8", E::kUtf8},
           {"utf-8", E::kUtf8},
           {"Unicode", E::kUtf8},
           {"LATIN1", E::kLatin1},
           {"iso-8859-1", E::kLatin1},
           {"ISO_8859_15", E::kLatin9},
           {"ISO_8859_5", E::kIso8859Part5},
           {"win", E::kWin1251},
           {"Windows-1252", E::kWin1252},
           {"ALT", E::kWin866},
           {"koi8", E::kKoi8r},
           {"KOI8-U", E::kKoi8u},
           {"vscii", E::kWin1258},
           {"SQL_ASCII", E::kSqlAscii},
           {"EUC_JIS_2004", E::kEucJis2004},
           {"mskanji", E::kSjis},
           {"shift_jis_2004", E::kShiftJis2004},
           {"abc", E::kWin1258},
           {"windows950", E::kBig5},
           {"", E::kUnknown},
           {"latin11", E::kUnknown},
           {"iso88591iso88591iso88591iso88591iso88591", E::kUnknown}}) {
    EXPECT_EQ(find_client_encoding(name), encoding) << name;
  }
  for (int i = 0; i < static_cast<int>(E::kUnknown); ++i) {
    const auto encoding = static_cast<ClientEncoding>(i);
    EXPECT_EQ(find_client_encoding(name_of(encoding)), encoding) << name_of(encoding);
  }
}

TEST(ClientEncoding, converts_single_bytes) {
  EXPECT_EQ(utf8_of(kLatin1, "M\xfcller"), "M\xc3\xbcller");
  EXPECT_EQ(utf8_of(ClientEncoding::kWin1252, "\x80"), "\xe2\x82\xac");
  EXPECT_EQ(utf8_of(ClientEncoding::kLatin9, "\xa4"), "\xe2\x82\xac");
  EXPECT_EQ(utf8_of(ClientEncoding::kKoi8r, "\xc1"), "\xd0\xb0");
  EXPECT_EQ(utf8_of(ClientEncoding::kWin1252, "a\x81"), "22P05");
  EXPECT_EQ(utf8_of(ClientEncoding::kSqlAscii, "\xfc"), "\xfc");
  EXPECT_EQ(utf8_of(ClientEncoding::kUtf8, "\xfc"), "\xfc");
  EXPECT_EQ(utf8_of(ClientEncoding::kEucJp, "plain"), "plain");
  EXPECT_EQ(utf8_of(ClientEncoding::kEucJp, "\xa4\xa2"), "MZ016");
  EXPECT_EQ(utf8_of(ClientEncoding::kMuleInternal, "\x81\xfc"), "MZ016");
  EXPECT_EQ(utf8_of(ClientEncoding::kUnknown, "\xfc"), "MZ016");
  std::string scratch;
  EXPECT_NE(
      to_utf8(ClientEncoding::kEucKr, "\xb0\xa1", scratch).error().to_line().find("SET client_encoding"),
      std::string::npos);
  EXPECT_EQ(
      to_utf8(ClientEncoding::kWin1252, "\x81", scratch).error().message,
      "character with byte sequence 0x81 in encoding \"WIN1252\" has no equivalent in encoding \"UTF8\"");
}

TEST(ClientEncoding, is_that_of_literals) {
  constexpr const char* kKey = "M\xc3\xbcller";
  expect_email(ClientEncoding::kUtf8, "SELECT * FROM accounts WHERE email = 'M\xc3\xbcller'", kKey);
  expect_email(kLatin1, "SELECT * FROM accounts WHERE email = 'M\xfcller'", kKey);
  expect_email(ClientEncoding::kWin866, "SELECT * FROM accounts WHERE email = '\x80'", "\xd0\x90");
  expect_email(kLatin1, "SELECT * FROM accounts WHERE email = $q$M\xfcller$q$", kKey);
  expect_email(kLatin1, "UPDATE accounts SET name = '\xe9' WHERE email = ANY('{\"M\xfcller\"}')", kKey);
  expect_email(kLatin1, "DELETE FROM accounts WHERE email IN ('M\xfcller')", kKey);
  expect_email(kLatin1, "INSERT INTO accounts VALUES ('M\xfc' \n 'ller', '')", kKey);
  // Escapes stand for bytes of the database's encoding, whatever the client's.
  expect_email(kLatin1, "SELECT * FROM accounts WHERE email = E'M\\303\\274ller'", kKey);
  expect_email(kLatin1, "SELECT * FROM accounts WHERE email = E'\xfc\\u00fc'", "\xc3\xbc\xc3\xbc");
  expect_email(kLatin1, "/* mosaic email='M\xfcller' */ TABLE accounts", kKey);
  // Numbers know no encoding.
  EXPECT_EQ(route_in(kLatin1, "SELECT '\xfc' FROM media WHERE user_id = '5'")->shard, shard_of_user(5));
  EXPECT_EQ(route_in(ClientEncoding::kEucJp, "SELECT '\xa4\xa2' FROM media WHERE user_id = 5")->shard,
            shard_of_user(5));
}

TEST(ClientEncoding, is_that_of_parameters) {
  constexpr const char* kKey = "M\xc3\xbcller";
  constexpr uint32_t kText = 25, kTextArray = 1009;
  const auto bound = [](std::string_view bytes, bool is_binary, uint32_t type) {
    return Parameter{.is_binary = is_binary, .type_oid = type, .bytes = bytes};
  };
  for (const bool is_binary : {false, true}) {
    for (const uint32_t type : {0u, kText}) {
      const Parameter value[] = {bound("M\xfcller", is_binary, type)};
      expect_email(kLatin1, "SELECT * FROM accounts WHERE email = $1", kKey, Parameters(value));
    }
  }
  const Parameter converted[] = {{.is_utf8 = true, .bytes = kKey}};
  expect_email(kLatin1, "SELECT * FROM accounts WHERE email = $1", kKey, Parameters(converted));
  const Parameter text_array[] = {bound("{\"M\xfcller\"}", false, kTextArray)};
  expect_email(kLatin1, "SELECT * FROM accounts WHERE email = ANY($1)", kKey, Parameters(text_array));
  const std::string binary = "\0\0\0\1\0\0\0\0\0\0\0\x19\0\0\0\1\0\0\0\1\0\0\0\6M\xfcller"s;
  const Parameter binary_array[] = {bound(binary, true, kTextArray)};
  expect_email(kLatin1, "SELECT * FROM accounts WHERE email = ANY($1)", kKey, Parameters(binary_array));

  const Parameter beyond[] = {bound("\xa4\xa2", false, kText)};
  const auto refused =
      route_in(ClientEncoding::kEucJp, "SELECT * FROM accounts WHERE email = $1", Parameters(beyond));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().sqlstate, "MZ016");
}

TEST(ClientEncoding, is_not_that_of_a_setting) {
  const auto decided = route_in(kLatin1, "TABLE accounts", {}, {Hint::Kind::kKey, "M\xc3\xbcller"});
  ASSERT_TRUE(decided);
  EXPECT_EQ(decided->shard, shard_of_email("M\xc3\xbcller"));
}

TEST(ClientEncoding, is_refused_where_statements_can_not_be_read) {
  for (const ClientEncoding encoding : {ClientEncoding::kSjis, ClientEncoding::kBig5, ClientEncoding::kGbk,
                                        ClientEncoding::kUhc, ClientEncoding::kGb18030}) {
    EXPECT_TRUE(route_in(encoding, "SELECT * FROM media WHERE user_id = 5"));
    const auto decided = route_in(encoding, "SELECT '\x95\x5c' FROM media WHERE user_id = 5");
    ASSERT_FALSE(decided);
    EXPECT_EQ(decided.error().sqlstate, "0A000");
  }
}

TEST(ClientEncoding, does_not_hide_names) {
  CatalogSnapshot::Parts parts = sample_parts();
  parts.tables[0].name = "us\xc3\xa9rs";
  const CatalogSnapshot catalog(parts);
  Router router(RouterLimits{});
  const auto decide = [&](std::string_view text, ClientEncoding encoding) {
    return route(router.analyze(text, catalog), {}, {}, catalog, NodeId{0}, encoding);
  };
  EXPECT_TRUE(decide("SELECT * FROM us\xc3\xa9rs WHERE user_id = 5", ClientEncoding::kUtf8));
  EXPECT_TRUE(decide("SELECT '\xe9' FROM media WHERE user_id = 5", kLatin1));
  for (const char* text :
       {"SELECT * FROM us\xe9rs WHERE user_id = 5", "SELECT * FROM \"us\xe9rs\" WHERE user_id = 5"}) {
    const auto decided = decide(text, kLatin1);
    ASSERT_FALSE(decided) << text;
    EXPECT_EQ(decided.error().sqlstate, "0A000");
  }
}

TEST(ClientEncoding, is_that_of_copy_rows_unless_the_statement_says_otherwise) {
  const auto first_key = [](std::string_view statement, ClientEncoding client, std::string_view data) {
    const CopyTarget target = *analyze(statement).plan->parts[0].copy;
    CopyRows rows(target, client);
    auto key = rows.next(data);
    if (key && !*key) key = rows.finish();
    return key ? std::string((*key)->value) : key.error().sqlstate + " " + key.error().to_line();
  };
  constexpr const char* kKey = "M\xc3\xbcller";
  EXPECT_EQ(first_key("COPY accounts FROM STDIN", ClientEncoding::kUtf8, "M\xc3\xbcller\tx\n"), kKey);
  EXPECT_EQ(first_key("COPY accounts FROM STDIN", kLatin1, "M\xfcller\tx\n"), kKey);
  EXPECT_EQ(first_key("COPY accounts FROM STDIN CSV", kLatin1, "\"M\xfcller\",x\n"), kKey);
  EXPECT_EQ(first_key("COPY accounts FROM STDIN ENCODING 'LATIN1'", ClientEncoding::kUtf8, "M\xfcller\tx\n"),
            kKey);
  EXPECT_EQ(first_key("COPY accounts FROM STDIN (ENCODING utf8)", kLatin1, "M\xc3\xbcller\tx\n"), kKey);
  EXPECT_EQ(first_key("COPY accounts FROM STDIN", kLatin1, "M\\303\\274ller\tx\n"), kKey);
  const std::string binary = "PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\0\2\0\0\0\6M\xfcller\0\0\0\1x\xff\xff"s;
  EXPECT_EQ(first_key("COPY accounts FROM STDIN (FORMAT binary)", kLatin1, binary), kKey);
  EXPECT_EQ(first_key("COPY accounts FROM STDIN (FORMAT binary, ENCODING 'UTF8')", kLatin1, binary), kKey);
  EXPECT_EQ(first_key("COPY accounts FROM STDIN", ClientEncoding::kEucJp, "\xa4\xa2\tx\n").substr(0, 5),
            "MZ016");
  EXPECT_EQ(first_key("COPY accounts FROM STDIN", ClientEncoding::kWin1252, "\x81\tx\n").substr(0, 5),
            "22P05");
  for (const char* encoding : {"SJIS", "GBK", "BIG5"}) {
    EXPECT_NE(first_key("COPY accounts FROM STDIN ENCODING '"s + encoding + "'", kLatin1, "a\tx\n")
                  .find("ENCODING 'UTF8'"),
              std::string::npos);
  }
}

}  // namespace mosaic::routing
