// Keys and IDs: the function is for good, so its values are written down here; text and binary forms are one
// value.

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <xxhash.h>

#include <cstdint>
#include <string>
#include <vector>

#include "routing/id_layout.h"
#include "routing/postgres/array_value.h"
#include "routing/postgres/sql/string_literal.h"
#include "routing/shard_function.h"
#include "tests/routing/postgres/route_harness.h"

namespace mosaic::routing {

using namespace testing;

namespace {

constexpr uint32_t kInt8 = 20, kInt2 = 21, kInt4 = 23, kText = 25, kNumeric = 1700, kUuid = 2950;

KeyValue integer(int64_t value) {
  KeyValue key;
  key.integer = value;
  return key;
}

std::string big_endian(uint64_t value, int bytes) {
  std::string out;
  for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(value >> (8 * i));
  return out;
}

// A Bind message's parameters.
struct Bound {
  std::string formats, values;
  std::vector<uint32_t> oids;
  uint16_t count = 0;
  Bound& add(std::string_view bytes, bool is_binary, uint32_t oid) {
    formats += big_endian(is_binary, 2);
    values += big_endian(bytes.size(), 4) + std::string(bytes);
    oids.push_back(oid);
    ++count;
    return *this;
  }
  Bound& add_null(uint32_t oid) {
    formats += big_endian(0, 2);
    values += big_endian(0xffffffff, 4);
    oids.push_back(oid);
    ++count;
    return *this;
  }
  Parameters view() const { return Parameters(formats, count, values, oids); }
};

std::string binary_array(uint32_t element_oid, const std::vector<std::string>& elements) {
  std::string out = big_endian(1, 4) + big_endian(0, 4) + big_endian(element_oid, 4) +
                    big_endian(elements.size(), 4) + big_endian(1, 4);
  for (const std::string& element : elements) out += big_endian(element.size(), 4) + element;
  return out;
}

}  // namespace

TEST(ShardFunction, is_xxh3_of_the_value_for_good) {
  EXPECT_EQ(shard_of(ShardFunction::kXxh3, integer(0), 1024).value, 217u);
  EXPECT_EQ(shard_of(ShardFunction::kXxh3, integer(1), 1024).value, 302u);
  EXPECT_EQ(shard_of(ShardFunction::kXxh3, integer(-1), 1024).value, 19u);
  EXPECT_EQ(shard_of(ShardFunction::kXxh3, integer(123456789), 1024).value, 725u);
  EXPECT_EQ(shard_of(ShardFunction::kXxh3, *parse_key_text(KeyType::kText, "alice@example.org"), 1024).value,
            412u);
  EXPECT_EQ(shard_of(ShardFunction::kXxh3,
                     *parse_key_text(KeyType::kUuid, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"), 1024)
                .value,
            871u);
  for (int64_t user = -1000; user < 1000; ++user) {
    unsigned char bytes[8];
    for (int i = 0; i < 8; ++i) bytes[i] = static_cast<unsigned char>(static_cast<uint64_t>(user) >> (8 * i));
    EXPECT_EQ(shard_of(ShardFunction::kXxh3, integer(user), 1000).value, XXH3_64bits(bytes, 8) % 1000);
  }
}

TEST(ShardFunction, modulo_is_never_negative) {
  EXPECT_EQ(shard_of(ShardFunction::kModulo, integer(31341), 2000).value, 1341u);  // Instagram's example
  EXPECT_EQ(shard_of(ShardFunction::kModulo, integer(-1), 2000).value, 1999u);
  EXPECT_EQ(shard_of(ShardFunction::kModulo, integer(-2000), 2000).value, 0u);
  EXPECT_EQ(shard_of(ShardFunction::kModulo, integer(INT64_MIN), 7).value,
            6u);  // -(7 * 1317624576693539401 + 1)
  EXPECT_EQ(shard_of(ShardFunction::kModulo, integer(INT64_MAX), 7).value, 0u);
}

TEST(ShardFunction, spreads_users_evenly) {
  std::vector<int> counts(64);
  for (int64_t user = 0; user < 64000; ++user)
    ++counts[shard_of(ShardFunction::kXxh3, integer(user), 64).value];
  for (const int count : counts) {
    EXPECT_GT(count, 800);
    EXPECT_LT(count, 1200);
  }
}

TEST(KeyValue, reads_integers_as_postgres_does) {
  for (const char* text : {"5", " 5", "5 ", "+5", "\t05\n"})
    EXPECT_EQ(parse_key_text(KeyType::kInt8, text)->integer, 5) << text;
  EXPECT_EQ(parse_key_text(KeyType::kInt8, "-9223372036854775808")->integer, INT64_MIN);
  for (const char* text :
       {"", " ", "+", "-", "+-5", "-+5", "5x", "5.0", "0x5", "5 5", "1e3", "9223372036854775808"}) {
    const auto value = parse_key_text(KeyType::kInt8, text);
    ASSERT_FALSE(value) << text;
    EXPECT_EQ(value.error().sqlstate, "MZ016");
  }
  EXPECT_EQ(parse_key_binary(KeyType::kInt8, kInt8, big_endian(5, 8))->integer, 5);
  EXPECT_EQ(parse_key_binary(KeyType::kInt8, kInt4, big_endian(static_cast<uint32_t>(-5), 4))->integer, -5);
  EXPECT_EQ(parse_key_binary(KeyType::kInt8, kInt2, big_endian(static_cast<uint16_t>(-5), 2))->integer, -5);
  EXPECT_EQ(parse_key_binary(KeyType::kInt8, 0, big_endian(7, 2))->integer, 7);
  EXPECT_EQ(parse_key_binary(KeyType::kInt8, kText, "42")->integer, 42);
  EXPECT_FALSE(parse_key_binary(KeyType::kInt8, kInt8, big_endian(5, 4)));
  EXPECT_FALSE(parse_key_binary(KeyType::kInt8, kNumeric, big_endian(5, 8)));
  EXPECT_FALSE(parse_key_binary(KeyType::kInt8, 0, ""));
  EXPECT_FALSE(parse_key_binary(KeyType::kInt8, 0, big_endian(5, 3)));
}

TEST(KeyValue, reads_uuids_in_all_their_spellings) {
  const KeyValue expected = *parse_key_text(KeyType::kUuid, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11");
  for (const char* text : {"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}",
                           "a0eebc999c0b4ef8bb6d6bb9bd380a11", "a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11"}) {
    EXPECT_EQ(shard_of(ShardFunction::kXxh3, *parse_key_text(KeyType::kUuid, text), 1024),
              shard_of(ShardFunction::kXxh3, expected, 1024));
  }
  const std::string_view bytes(reinterpret_cast<const char*>(expected.uuid), 16);
  EXPECT_EQ(shard_of(ShardFunction::kXxh3, *parse_key_binary(KeyType::kUuid, kUuid, bytes), 1024),
            shard_of(ShardFunction::kXxh3, expected, 1024));
  for (const char* text :
       {"", "a0eebc99", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a111",
        "a-0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "g0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}) {
    EXPECT_FALSE(parse_key_text(KeyType::kUuid, text)) << text;
  }
}

TEST(IdLayout, carries_the_shard_of_instagrams_example) {
  // "Sharding & IDs at Instagram": 1387263000 ms after the epoch, shard 1341, sequence 1.
  const int64_t id = (int64_t{1387263000} << 23) | (1341 << 10) | 1;
  EXPECT_EQ(IdLayout().shard_of(id, 2000), ShardId{1341});
  EXPECT_FALSE(IdLayout().shard_of(id, 1341));
  EXPECT_FALSE(IdLayout().shard_of(-1, 2000));
  EXPECT_EQ((IdLayout{10, 12, 0}).shard_of((int64_t{5} << 22) | (1023 << 12) | 4095, 1024), ShardId{1023});
}

TEST(StringLiteral, is_read_in_every_form) {
  const auto read = [](std::string_view token) {
    std::string scratch;
    const auto value = read_string_literal(token, Reading{}, scratch);
    return value ? std::string(*value) : std::string("(none)");
  };
  EXPECT_EQ(read("''"), "");
  EXPECT_EQ(read("'a b'"), "a b");
  EXPECT_EQ(read("'a''b\\'"), "a'b\\");
  EXPECT_EQ(read("E'a\\'b\\\\c\\n\\x41\\101\\u0041\\U00000041''\\q'"), "a'b\\c\nAAAA'q");
  EXPECT_EQ(read("e'\\u00e9\\u20ac\\ud83d\\ude00'"), "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
  EXPECT_EQ(read("$$a'b$$"), "a'b");
  EXPECT_EQ(read("$t$a$$b$t$"), "a$$b");
  EXPECT_EQ(read("'a' -- it's\n 'b'\n\n'c'"), "abc");
  for (const char* token : {"U&'a'", "E'\\u12'", "E'\\ud800'", "E'\\ud800\\u0041'", "E'\\udc00'",
                            "E'\\u0000'", "E'\\U00110000'"}) {
    EXPECT_EQ(read(token), "(none)") << token;
  }
}

TEST(ArrayValue, reads_text_arrays) {
  const auto read = [](std::string_view text) {
    TextArrayReader reader(text);
    std::string all;
    while (const auto element = reader.next())
      all += element->is_null ? "<null>" : fmt::format("<{}>", element->text);
    return reader.is_valid() ? all : "invalid";
  };
  EXPECT_EQ(read("{}"), "");
  EXPECT_EQ(read(" { 1 , 2,NULL,\"NULL\" , \"a\\\"b,\" } "), "<1><2><null><NULL><a\"b,>");
  EXPECT_EQ(read("{{1,2},{3,4}}"), "<1><2><3><4>");
  for (const char* text : {"", "1", "{1", "1}", "{1}}", "{\"a}", "[0:1]={1,2}"})
    EXPECT_EQ(read(text), "invalid") << text;
}

TEST(RouteParameters, give_one_shard_in_text_and_binary) {
  const ShardId five = shard_of_user(5);
  constexpr std::string_view kText1 = "SELECT * FROM media WHERE user_id = $1";
  for (const Bound& bound :
       {Bound().add("5", false, kInt8), Bound().add("5", false, 0), Bound().add(" +5", false, kInt4),
        Bound().add(big_endian(5, 8), true, kInt8), Bound().add(big_endian(5, 4), true, kInt4),
        Bound().add(big_endian(5, 2), true, kInt2), Bound().add(big_endian(5, 8), true, 0),
        Bound().add("5", true, kText)}) {
    const auto decided = route_text(kText1, {}, bound.view());
    ASSERT_TRUE(decided) << decided.error().to_line();
    EXPECT_EQ(decided->shard, five);
  }
  const auto second = route_text("SELECT * FROM media WHERE caption = $1 AND user_id = $2::bigint", {},
                                 Bound().add_null(kText).add(big_endian(5, 8), true, kInt8).view());
  ASSERT_TRUE(second) << second.error().to_line();
  EXPECT_EQ(second->shard, five);
  const auto by_id =
      route_text("SELECT * FROM media WHERE id = $1", {},
                 Bound().add(big_endian(static_cast<uint64_t>(id_on(ShardId{9})), 8), true, kInt8).view());
  ASSERT_TRUE(by_id);
  EXPECT_EQ(by_id->shard, ShardId{9});
}

TEST(RouteParameters, reads_arrays_in_text_and_binary) {
  constexpr std::string_view kText1 = "SELECT * FROM media WHERE user_id = ANY($1)";
  const int64_t same = user_beside(5, true);
  for (const Bound& bound :
       {Bound().add("{5}", false, 1016), Bound().add(fmt::format("{{5,{},NULL}}", same), false, 0),
        Bound().add(binary_array(kInt8, {big_endian(5, 8), big_endian(static_cast<uint64_t>(same), 8)}), true,
                    1016),
        Bound().add(binary_array(kInt4, {big_endian(5, 4)}), true, 1007)}) {
    const auto decided = route_text(kText1, {}, bound.view());
    ASSERT_TRUE(decided) << decided.error().to_line();
    EXPECT_EQ(decided->shard, shard_of_user(5));
  }
  const auto many =
      route_text(kText1, {}, Bound().add(fmt::format("{{5,{}}}", user_beside(5, false)), false, 0).view());
  ASSERT_FALSE(many);
  EXPECT_EQ(many.error().sqlstate, "MZ011");
  EXPECT_TRUE(route_text(kText1, {}, Bound().add("{}", false, 0).view()));
  EXPECT_TRUE(route_text(kText1, {}, Bound().add_null(0).view()));
  for (const Bound& bound : {Bound().add("{5", false, 0), Bound().add("x", true, 1016),
                             Bound().add(binary_array(kInt8, {"x"}), true, 1016)}) {
    EXPECT_EQ(route_text(kText1, {}, bound.view()).error().sqlstate, "MZ016");
  }
}

TEST(RouteParameters, null_keys_match_no_row) {
  const auto read = route_text("SELECT * FROM media WHERE user_id = $1", {}, Bound().add_null(kInt8).view());
  ASSERT_TRUE(read) << read.error().to_line();
  const auto beside =
      route_text("SELECT * FROM media WHERE user_id = 5 AND id = $1", {}, Bound().add_null(kInt8).view());
  ASSERT_TRUE(beside);
  EXPECT_EQ(beside->shard, shard_of_user(5));
  EXPECT_TRUE(route_text("DELETE FROM media WHERE user_id = $1", {}, Bound().add_null(kInt8).view()));
  EXPECT_TRUE(route_text("SELECT * FROM media WHERE user_id = NULL"));
  EXPECT_EQ(route_text("INSERT INTO media (user_id) VALUES ($1)", {}, Bound().add_null(kInt8).view())
                .error()
                .sqlstate,
            "MZ016");
  EXPECT_EQ(route_text("UPDATE media SET user_id = $1 WHERE user_id = 5", {}, Bound().add_null(kInt8).view())
                .error()
                .sqlstate,
            "MZ016");
}

TEST(RouteParameters, refuses_values_it_can_not_read) {
  EXPECT_EQ(route_text("SELECT * FROM media WHERE user_id = $1").error().sqlstate, "MZ016");
  EXPECT_EQ(route_text("SELECT * FROM media WHERE user_id = $2", {}, Bound().add("5", false, 0).view())
                .error()
                .sqlstate,
            "MZ016");
  EXPECT_EQ(route_text("SELECT * FROM media WHERE user_id = $1", {}, Bound().add("five", false, 0).view())
                .error()
                .sqlstate,
            "MZ016");
  // '05' as a number is the text '5': only the server could tell.
  EXPECT_EQ(
      route_text("SELECT * FROM accounts WHERE email = $1::text", {}, Bound().add("05", false, kInt4).view())
          .error()
          .sqlstate,
      "MZ016");
}

TEST(RouteParameters, hashes_text_and_uuid_keys) {
  const auto shard_of_text = [](std::string_view text) {
    return shard_of(ShardFunction::kXxh3, *parse_key_text(KeyType::kText, text), 64);
  };
  expect_shard("SELECT * FROM accounts WHERE email = 'a@b'", shard_of_text("a@b"));
  expect_shard("SELECT * FROM accounts WHERE email = E'a\\100b'", shard_of_text("a@b"));
  expect_shard("SELECT * FROM accounts WHERE email = 'it''s'", shard_of_text("it's"));
  expect_shard("SELECT * FROM accounts WHERE email = ANY('{\"a@b\"}'::text[])", shard_of_text("a@b"));
  expect_refusal("SELECT * FROM accounts WHERE email = 'abcd'::varchar(3)", "MZ010", "");
  expect_refusal("SELECT * FROM accounts WHERE email = 5::text", "MZ010", "");
  expect_refusal("SELECT * FROM accounts WHERE email = U&'a'", "MZ016", "Unicode escapes");
  for (const Bound& bound :
       {Bound().add("a@b", false, kText), Bound().add("a@b", true, kText), Bound().add("a@b", false, 0)}) {
    EXPECT_EQ(route_text("SELECT * FROM accounts WHERE email = $1", {}, bound.view())->shard,
              shard_of_text("a@b"));
  }
  const KeyValue uuid = *parse_key_text(KeyType::kUuid, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11");
  const ShardId device = shard_of(ShardFunction::kXxh3, uuid, 64);
  expect_shard("SELECT * FROM devices WHERE device = 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid", device);
  const std::string_view bytes(reinterpret_cast<const char*>(uuid.uuid), 16);
  EXPECT_EQ(route_text("SELECT * FROM devices WHERE device = $1", {}, Bound().add(bytes, true, kUuid).view())
                ->shard,
            device);
}

TEST(Parameters, are_read_in_place) {
  const Bound bound = Bound().add("a", false, kText).add_null(kInt8).add("", true, 0).add("bcd", true, kInt4);
  const Parameters parameters = bound.view();
  EXPECT_EQ(parameters.find(0)->bytes, "a");
  EXPECT_FALSE(parameters.find(0)->is_binary);
  EXPECT_EQ(parameters.find(0)->type_oid, kText);
  EXPECT_TRUE(parameters.find(1)->is_null);
  EXPECT_FALSE(parameters.find(2)->is_null);
  EXPECT_EQ(parameters.find(2)->bytes, "");
  EXPECT_EQ(parameters.find(3)->bytes, "bcd");
  EXPECT_TRUE(parameters.find(3)->is_binary);
  EXPECT_FALSE(parameters.find(4));
  EXPECT_FALSE(Parameters().find(0));
  // One format code holds for all; a length beyond the message is no parameter.
  EXPECT_TRUE(Parameters(std::string_view("\0\1", 2), 4, bound.values, {}).find(0)->is_binary);
  EXPECT_FALSE(Parameters({}, 1, std::string_view("\0\0\0\7abc", 7), {}).find(0));
  EXPECT_FALSE(Parameters({}, 1, std::string_view("\0\0", 2), {}).find(0));
}

}  // namespace mosaic::routing
