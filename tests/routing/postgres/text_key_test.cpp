// Keys of type varchar(n) and char(n): what assignment makes of them, and what comparison overlooks.

#include <gtest/gtest.h>

#include "routing/postgres/key_evaluation.h"
#include "routing/sqlstate.h"
#include "tests/routing/postgres/route_harness.h"

namespace mosaic::routing {

using namespace testing;

namespace {

ShardId shard_of_text(std::string_view text) {
  return shard_of(ShardFunction::kXxh3, *parse_key_text(KeyType::kText, text),
                  sample_catalog().shard_count());
}

const Table& table_of(std::string_view name) {
  return sample_catalog().tables()[static_cast<size_t>(sample_catalog().find_table(name))];
}

}  // namespace

TEST(TextKey, is_cut_when_it_is_assigned) {
  EXPECT_EQ(cut_to_length("rp     ", 3), "rp ");
  EXPECT_EQ(cut_to_length("rp", 3), "rp");
  EXPECT_EQ(cut_to_length("abc", 3), "abc");
  EXPECT_EQ(cut_to_length("abcd  ", 3), "abcd  ") << "too long for the server: its error, wherever it goes";
  EXPECT_EQ(cut_to_length("äöü  ", 3), "äöü") << "characters, not bytes";
  EXPECT_EQ(cut_to_length("äö     ", 3), "äö ");
  EXPECT_EQ(cut_to_length("abc\t", 3), "abc\t") << "a tab is no blank";
  EXPECT_EQ(cut_to_length("     ", 3), "   ");
  EXPECT_EQ(cut_to_length("", 3), "");
}

TEST(TextKey, of_a_varchar_is_stored_cut_and_compared_as_it_is) {
  expect_shard("INSERT INTO coupons (code) VALUES ('rp      ')", shard_of_text("rp "));
  expect_shard("INSERT INTO coupons (code) VALUES ('rp '), ('rp   ')", shard_of_text("rp "));
  expect_shard("INSERT INTO coupons (code) SELECT 'rp    '", shard_of_text("rp "));
  expect_shard("SELECT * FROM coupons WHERE code = 'rp '", shard_of_text("rp "));
  expect_shard("SELECT * FROM coupons WHERE code = 'rp    '", shard_of_text("rp    "));
  expect_shard("SELECT * FROM coupons WHERE code = ANY('{rp,\"rp\"}')", shard_of_text("rp"));
  expect_shard("UPDATE coupons SET code = 'rp     ' WHERE code = 'rp '", shard_of_text("rp "));
  expect_shard("INSERT INTO coupons (code) VALUES ('rp ') ON CONFLICT (code) DO UPDATE SET code = 'rp    '",
               shard_of_text("rp "));
  expect_shard("/* mosaic shard=1 */ INSERT INTO coupons (code) VALUES (upper('x'))", ShardId{1});
}

TEST(TextKey, is_not_followed_into_a_narrower_column) {
  expect_refusal("INSERT INTO coupons (code) SELECT code FROM vouchers WHERE code = 'abcd'",
                 sqlstate::kUnusableKey, "only the server");
  expect_shard("INSERT INTO vouchers (code) SELECT code FROM coupons WHERE code = 'ab '",
               shard_of_text("ab "));
  expect_refusal("SELECT * FROM coupons JOIN airports USING (code) WHERE coupons.code = 'ab'",
                 sqlstate::kNoShardKey, "airports");
}

TEST(TextKey, of_a_char_has_no_blanks_at_its_end) {
  for (const char* text :
       {"INSERT INTO airports (code) VALUES ('ab      ')", "INSERT INTO airports (code) VALUES ('ab')",
        "SELECT * FROM airports WHERE code = 'ab'", "SELECT * FROM airports WHERE code = 'ab  '",
        "SELECT * FROM airports WHERE code = 'ab '::text",
        "SELECT * FROM airports WHERE code = 'ab '::bpchar",
        "SELECT * FROM airports WHERE code IN ('ab', 'ab  ')",
        "SELECT * FROM airports WHERE code = ANY('{\"ab \",ab}')",
        "UPDATE airports SET code = 'ab ' WHERE code = 'ab'",
        "SELECT 1 FROM airports a JOIN airports b ON a.code = b.code WHERE a.code = 'ab '"}) {
    expect_shard(text, shard_of_text("ab"));
  }
  expect_refusal("SELECT * FROM airports WHERE code = 'ab'::char(1)", sqlstate::kNoShardKey, "code");
  expect_refusal("SELECT * FROM airports WHERE code = 'ab'::name", sqlstate::kNoShardKey, "code");
  expect_refusal("SELECT * FROM coupons WHERE code = 'ab'::varchar(1)", sqlstate::kNoShardKey, "code");
  expect_refusal("INSERT INTO coupons (code) VALUES ('ab'::char(3))", sqlstate::kUnusableKey, "code");
}

TEST(TextKey, parameters_are_read_by_their_type) {
  constexpr uint32_t kName = 19, kText = 25, kBpchar = 1042;
  EXPECT_EQ(parse_key_binary(KeyType::kText, kText, "ab ")->text, "ab ");
  EXPECT_EQ(parse_key_binary(KeyType::kText, kBpchar, "ab ")->text, "ab")
      << "bpchar becomes text without blanks";
  EXPECT_EQ(parse_key_binary(KeyType::kPaddedText, kText, "ab ")->text, "ab");
  EXPECT_EQ(parse_key_binary(KeyType::kPaddedText, 0, "ab ")->text, "ab");
  EXPECT_EQ(parse_key_binary(KeyType::kText, kName, std::string(63, 'x'))->text.size(), 63u);
  EXPECT_FALSE(parse_key_binary(KeyType::kText, kName, std::string(64, 'x')))
      << "the server cuts it at 63 bytes";
}

TEST(TextKey, comes_from_copy_as_it_is_stored) {
  EXPECT_EQ(read_assigned_key(table_of("coupons"), false, "rp     ")->text, "rp ");
  EXPECT_EQ(read_assigned_key(table_of("coupons"), true, "rp     ")->text, "rp ");
  EXPECT_EQ(read_assigned_key(table_of("airports"), false, "rp     ")->text, "rp");
  EXPECT_EQ(read_assigned_key(table_of("accounts"), false, "rp ")->text, "rp ");
  EXPECT_EQ(read_assigned_key(table_of("users"), false, " 5 ")->integer, 5);
}

}  // namespace mosaic::routing
