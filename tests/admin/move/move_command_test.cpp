#include "admin/move/move_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "admin/console/console_command.h"
#include "admin/move/move_row.h"
#include "admin/move/schema_dump.h"

namespace mosaic::admin {
namespace {

using testing::HasSubstr;

std::string numbers(std::string_view text) {
  const auto shards = parse_numbers(text, "shards");
  if (!shards) return shards.error().message;
  std::string list;
  for (const uint32_t shard : *shards) list += (list.empty() ? "" : " ") + std::to_string(shard);
  return list;
}

TEST(MoveCommand, reads_lists_of_shards) {
  EXPECT_EQ(numbers("42"), "42");
  EXPECT_EQ(numbers("1-3,40,7-7"), "1 2 3 40 7");
  EXPECT_EQ(numbers("3-1"), "the range \"3-1\" is empty");
  for (const char* text : {"", "x", "1,", "-3", "1-", "1--2", "1-2-3", "4294967296", "0-4294967295"})
    EXPECT_THAT(numbers(text), HasSubstr("is no list of shards")) << text;
}

TEST(MoveCommand, reads_options) {
  MoveOptions options;
  EXPECT_TRUE(set_option("rate", "50MB/s", options));
  EXPECT_EQ(options.rate_bytes, 50'000'000u);
  EXPECT_TRUE(set_option("rate", "1.5 MiB", options));
  EXPECT_EQ(options.rate_bytes, 1'572'864u);
  EXPECT_TRUE(set_option("soak", "10 min", options));
  EXPECT_EQ(options.soak_ms, 600'000u);
  EXPECT_TRUE(set_option("soak", "0", options));
  EXPECT_EQ(options.soak_ms, 0u);
  EXPECT_TRUE(set_option("parallel", "4", options));
  EXPECT_TRUE(set_option("verify", "sample", options));
  EXPECT_EQ(options.verify, MoveOptions::Verify::kSample);
  for (const auto& [name, value] :
       {std::pair("rate", "fast"), std::pair("rate", "-1"), std::pair("soak", "2 weeks"),
        std::pair("soak", "nan"), std::pair("parallel", "0"), std::pair("parallel", "65"),
        std::pair("verify", "maybe"), std::pair("colour", "red")})
    EXPECT_FALSE(set_option(name, value, options)) << name << " " << value;
}

TEST(MoveCommand, is_read_from_the_console) {
  const auto move =
      parse_console_command("move shards 1-2, 5 to \"pg2\" with (Parallel = 3, rate='1MB/s', soak = 0);");
  ASSERT_TRUE(move) << move.error().message;
  EXPECT_EQ(move->move.kind, MoveCommand::Kind::kMove);
  EXPECT_EQ(move->move.shards.size(), 3u);
  EXPECT_EQ(move->move.node, "pg2");
  EXPECT_EQ(move->move.options.parallel, 3u);
  EXPECT_EQ(move->move.options.soak_ms, 0u);
  const auto undo = parse_console_command("UNDO MOVE 17");
  ASSERT_TRUE(undo);
  EXPECT_EQ(undo->move.kind, MoveCommand::Kind::kUndo);
  EXPECT_EQ(undo->move.move, 17u);
  const auto drain = parse_console_command("DRAIN NODE pg1 DRY RUN");
  ASSERT_TRUE(drain);
  EXPECT_TRUE(drain->move.is_dry_run);
  const auto rehearsal = parse_console_command("REHEARSE MOVE SHARD 4 TO pg2");
  ASSERT_TRUE(rehearsal);
  EXPECT_TRUE(rehearsal->move.options.is_rehearsal);
  const auto even = parse_console_command("REBALANCE BY size WITH (soak = 0) DRY RUN");
  ASSERT_TRUE(even) << even.error().message;
  EXPECT_EQ(even->move.weight, MoveCommand::Weight::kSize);
  EXPECT_TRUE(even->move.is_dry_run);
  EXPECT_EQ(even->move.options.soak_ms, 0u);
  EXPECT_THAT(parse_console_command("WAIT MOVES 3-5,9")->move.moves, testing::ElementsAre(3, 4, 5, 9));
  EXPECT_THAT(parse_console_command("WAIT MOVE 3")->move.moves, testing::ElementsAre(3));
  EXPECT_THAT(parse_console_command("WAIT MOVES")->move.moves, testing::IsEmpty());
  for (const char* text : {"MOVE",
                           "MOVE SHARD",
                           "MOVE SHARD 1",
                           "MOVE SHARD 1 TO",
                           "MOVE SHARD 1 TO pg2 NOW",
                           "MOVE SHARD 1 TO pg2 WITH",
                           "MOVE SHARD 1 TO pg2 WITH (",
                           "MOVE SHARD 1 TO pg2 WITH (soak)",
                           "MOVE SHARD 1 TO pg2 WITH (soak = 1",
                           "CHECK",
                           "CHECK MOVE",
                           "UNDO",
                           "UNDO MOVE",
                           "UNDO MOVE x",
                           "UNDO MOVE 1 2",
                           "DRAIN",
                           "DRAIN NODE",
                           "DRAIN NODE pg1 DRY",
                           "DRAIN NODE pg1 BY size",
                           "REBALANCE DRY",
                           "REBALANCE BY",
                           "REBALANCE BY colour",
                           "REBALANCE NOW",
                           "REHEARSE",
                           "REHEARSE MOVE 4",
                           "WAIT",
                           "WAIT MOVE",
                           "WAIT MOVES x",
                           "WAIT MOVES 3-1",
                           "SHOW MOVE",
                           "SHOW MOVE x"})
    EXPECT_FALSE(parse_console_command(text)) << text;
}

TEST(MoveRow, adds_up_what_it_has_cost_each_proxy) {
  proxy::MovingCounts counts;
  const std::string one = to_json(proxy::MovingCounts{1, 2, 3, 5, 40});
  ASSERT_TRUE(read_counts(R"({"a": )" + one + R"(, "b": )" + one + "}", counts));
  EXPECT_EQ(counts, (proxy::MovingCounts{2, 4, 6, 10, 40}));
  EXPECT_FALSE(read_counts("[", counts));
}

TEST(MoveRow, comes_back_from_the_catalog_as_it_was) {
  MoveRow row, copy;
  row.options.rate_bytes = 7;
  row.options.verify = MoveOptions::Verify::kOff;
  row.facts.tables.push_back({"a \"b\"", 10, 2, true, false, {"x", "y"}});
  row.facts.sequences = {"s"};
  row.facts.post_data = "CREATE INDEX 'ä'\n";
  row.facts.has_way_back = true;
  row.progress.pause_us = {{"hold", 3}};
  row.progress.write_pause_us = 12;
  ASSERT_TRUE(read_json(to_json(row.options), to_json(row.facts), to_json(row.progress), copy));
  EXPECT_EQ(to_json(copy.options), to_json(row.options));
  EXPECT_EQ(to_json(copy.facts), to_json(row.facts));
  EXPECT_EQ(to_json(copy.progress), to_json(row.progress));
  EXPECT_TRUE(read_json("{}", "{}", "{}", copy));
  EXPECT_FALSE(read_json("{", "{}", "{}", copy));
  EXPECT_FALSE(read_json("{}", R"({"tables": 3})", "{}", copy));
}

TEST(SchemaDump, leaves_out_what_only_psql_understands) {
  EXPECT_EQ(without_psql_commands("\\restrict abc\nSELECT 1;\n\\unrestrict abc\n"), "SELECT 1;\n");
  EXPECT_EQ(without_psql_commands("a\n  \\restrict x\n"), "a\n  \\restrict x\n");
  EXPECT_EQ(without_psql_commands(""), "");
  EXPECT_EQ(without_psql_commands("no end"), "no end");
}

TEST(SchemaDump, quotes_what_it_connects_by) {
  ConnectionTarget target;
  target.host = "h";
  target.port = 1;
  target.dbname = "it's";
  target.user = "a\\b";
  target.password = "p";
  EXPECT_EQ(connection_text(target, true), "host='h' port=1 dbname='it\\'s' user='a\\\\b' password='p'");
  EXPECT_EQ(connection_text(target, false), "host='h' port=1 dbname='it\\'s' user='a\\\\b'");
}

}  // namespace
}  // namespace mosaic::admin
