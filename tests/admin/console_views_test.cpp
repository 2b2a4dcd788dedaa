// Views over reports that are made up: what is summed, what comes first, how it is cut.

#include <gtest/gtest.h>

#include "admin/console/views/view_registry.h"
#include "tests/routing/sample_catalog.h"

namespace mosaic::admin {
namespace {

class ConsoleViews : public ::testing::Test {
 protected:
  ConsoleViews()
      : events_([](std::string_view) { return true; }, [] { return uint64_t{1'700'000'000'000'000}; }) {
    config_.proxy.database = "app";
    config_.values["limits.max_client_conn"] = "100";
    ConsoleBackend backend;
    backend.config = [this] { return std::make_shared<const Config>(config_); };
    backend.catalog = [] {
      return std::shared_ptr<const routing::CatalogSnapshot>(&routing::testing::sample_catalog(),
                                                             [](auto*) {});
    };
    backend.report = [this](const proxy::ReportRequest&) { return report_; };
    backend.locks = [this] { return locks_; };
    backend.moves = [this](bool) -> routing::Result<std::vector<MoveRow>> { return moves_; };
    backend.shard_sizes = [this] { return sizes_; };
    backend.events = &events_;
    state_ = std::make_unique<ConsoleState>(std::move(backend));
    report_.workers.resize(2);
  }

  // The rows as maps.
  std::vector<std::map<std::string, std::string>> show(const std::string& view) {
    const ViewTable table = find_view(view)->build({state_->backend, *state_});
    std::vector<std::map<std::string, std::string>> rows;
    for (const ViewRow& row : table.rows) {
      auto& cells = rows.emplace_back();
      EXPECT_EQ(row.size(), table.columns.size()) << view;
      for (size_t i = 0; i < row.size(); ++i)
        cells[std::string(table.columns[i].name)] = row[i].value_or("NULL");
    }
    return rows;
  }

  Config config_;
  EventLog events_;
  proxy::Report report_;
  std::vector<NodeLocks> locks_;
  std::vector<MoveRow> moves_;
  std::map<uint32_t, ShardSize> sizes_;
  std::unique_ptr<ConsoleState> state_;
};

TEST_F(ConsoleViews, shards_tell_their_size_and_what_becomes_of_them) {
  sizes_[1] = {4096, 7};
  moves_.resize(1);
  moves_[0].shard.value = 2, moves_[0].id = 6, moves_[0].state = MoveState::kCopying;
  report_.workers[0].shard_queries = {0, 3, 4};
  report_.workers[1].shard_queries = {0, 1, 0};
  const auto rows = show("shards");
  EXPECT_EQ(rows[1].at("bytes"), "4096");
  EXPECT_EQ(rows[1].at("rows"), "7");
  EXPECT_EQ(rows[1].at("query_count"), "4");
  EXPECT_EQ(rows[1].at("move"), "NULL");
  EXPECT_EQ(rows[2].at("bytes"), "NULL");
  EXPECT_EQ(rows[2].at("move"), "6");
  EXPECT_EQ(rows[2].at("move_state"), "copying");
}

TEST_F(ConsoleViews, session_state_tells_what_moves_have_cost) {
  report_.workers[0].moving[3] = {2, 1, 0, 6, 500};
  report_.workers[0].moving[4] = {1, 0, 1, 1, 900};
  report_.workers[0].clients_at_gate = {{3, 2}};
  const auto rows = show("session_state");
  EXPECT_EQ(rows[0].at("held_statements"), "3");
  EXPECT_EQ(rows[0].at("replayed_statements"), "1");
  EXPECT_EQ(rows[0].at("refused_for_moves"), "1");
  EXPECT_EQ(rows[0].at("prepared_ahead"), "7");
  EXPECT_EQ(rows[0].at("longest_hold_us"), "900");
  EXPECT_EQ(rows[0].at("waiting_now"), "2");
  EXPECT_EQ(rows[1].at("held_statements"), "0");
}

TEST_F(ConsoleViews, shapes_of_all_workers_are_summed_and_the_longest_time_comes_first) {
  const auto shape = [](const char* text, uint64_t calls, uint64_t time_us) {
    routing::ShapeStatistics made;
    made.text = text;
    made.placement = "sharded";
    made.counts.calls = calls;
    made.counts.time_us = time_us;
    return made;
  };
  report_.workers[0].shapes = {shape("a", 10, 100), shape("b", 1, 500)};
  report_.workers[1].shapes = {shape("a", 5, 50), shape(std::string(200, 'x').c_str(), 1, 1)};
  const auto rows = show("shapes");
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].at("shape"), "b");
  EXPECT_EQ(rows[1].at("calls"), "15");
  EXPECT_EQ(rows[1].at("mean_time"), "10");
  EXPECT_EQ(rows[2].at("shape"), std::string(60, 'x') + "...");
  const auto texts = show("shape_texts");
  EXPECT_EQ(texts[2].at("shape"), std::string(200, 'x'));
  EXPECT_EQ(texts[2].at("id"), rows[2].at("id"));
}

TEST_F(ConsoleViews, console_clients_are_among_clients_pools_and_users) {
  proxy::ConsoleClient client;
  client.user = "operator";
  client.id = 77;
  state_->clients.add(client);
  report_.workers[0].users = {"app", "nobody"};
  EXPECT_EQ(show("clients").at(0).at("id"), "77");
  EXPECT_EQ(show("pools").at(0).at("cl_active"), "1");
  const auto users = show("users");
  ASSERT_EQ(users.size(), 3u);
  EXPECT_EQ(users[1].at("name"), "nobody");
  EXPECT_EQ(users[1].at("current_client_connections"), "0");
  EXPECT_EQ(users[2].at("current_client_connections"), "1");
  state_->clients.remove(77);
  EXPECT_TRUE(show("clients").empty());
}

TEST_F(ConsoleViews, limits_tell_use_and_how_often_they_were_met) {
  report_.clients = 3;
  report_.clients_most = 8;
  events_.record(pool::Event(pool::Severity::kDebug, "client_refused"));
  const auto rows = show("limits");
  ASSERT_EQ(rows.at(0).at("name"), "max_client_conn");
  EXPECT_EQ(rows[0].at("value"), "100");
  EXPECT_EQ(rows[0].at("used"), "3");
  EXPECT_EQ(rows[0].at("used_max"), "8");
  EXPECT_EQ(rows[0].at("hits"), "1") << "what is too little to be logged counts as well";
}

TEST_F(ConsoleViews, blockers_name_mosaics_clients_and_nodes_that_could_not_be_asked) {
  LockedProcess holder, waiter;
  holder.pid = 11;
  waiter.pid = 12;
  waiter.blockers = {11};
  waiter.statement = "by the node";
  const std::string node = routing::testing::sample_catalog().node_name({0});
  locks_ = {{node, std::nullopt, {holder, waiter}},
            {"pgX", routing::Error{"08006", "no answer", "", ""}, {}}};
  proxy::ServerReport server;
  server.remote_pid = 12;
  server.client_id = 5;
  proxy::ClientReport client;
  client.id = 5;
  client.statement = "SELECT ?";
  report_.workers[0].servers = {server};
  report_.workers[0].clients = {client};
  const auto rows = show("blockers");
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].at("process"), "11");
  EXPECT_EQ(rows[0].at("client"), "NULL");
  EXPECT_EQ(rows[1].at("process"), "  12");
  EXPECT_EQ(rows[1].at("client"), "5");
  EXPECT_EQ(rows[1].at("statement"), "SELECT ?");
  EXPECT_EQ(rows[2].at("state"), "not asked");
  EXPECT_EQ(rows[2].at("statement"), "no answer");
}

TEST_F(ConsoleViews, heat_shows_the_busiest_shard_first_and_idle_ones_not_at_all) {
  report_.workers[0].shard_queries = {1, 0, 5};
  report_.workers[0].shard_us = {10, 0, 700};
  report_.workers[1].shard_queries = {1, 0, 0};
  report_.workers[1].shard_us = {30, 0, 0};
  const auto rows = show("heat");
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].at("shard"), "2");
  EXPECT_EQ(rows[1].at("queries_10s"), "2");
  EXPECT_EQ(rows[1].at("time_10m"), "40");
}

}  // namespace
}  // namespace mosaic::admin
