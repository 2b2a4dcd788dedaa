#include "admin/catalog/map_follower.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <charconv>

#include "admin/catalog/catalog_schema.h"
#include "admin/catalog/catalog_store.h"

namespace mosaic::admin {

using routing::ShardPlaceChange;
using routing::Status;

namespace {

constexpr std::chrono::milliseconds kLookUp{1'000};
constexpr int kFollowRetryMs = 500;

// The next number of the text, which it takes off; -1: there is none.
int64_t take_number(std::string_view& text) {
  int64_t number = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return -1;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  if (!text.empty()) text.remove_prefix(1);
  return number;
}

}  // namespace

MapFollower::MapFollower(const Config& config, OnChange on_change)
    : config_(config), on_change_(std::move(on_change)), thread_([this] { run(); }) {}

MapFollower::~MapFollower() {
  stop_.raise();
  thread_.join();
}

void MapFollower::run() {
  while (!stop_.is_raised()) {
    const std::chrono::milliseconds limit(config_.catalog.connect_timeout_ms);
    auto connection =
        Connection::open(catalog_target(config_), {.connect = limit, .query = limit, .stop = &stop_});
    const Status status = connection ? follow(*connection) : Status(connection.error());
    if (!status && !stop_.is_raised()) spdlog::debug("map: {}", status.error().to_line());
    const auto until = Clock::now() + std::chrono::milliseconds(kFollowRetryMs);
    while (Clock::now() < until && !stop_.wait_ms(kFollowRetryMs / 10)) end_holds();
  }
}

Status MapFollower::follow(Connection& connection) {
  if (Status status = connection.execute(fmt::format("LISTEN {}", kMapChannel)); !status) return status;
  if (Status status = read_map(connection); !status) return status;
  while (!stop_.is_raised()) {
    auto until = Clock::now() + kLookUp;
    for (const auto& [shard, hold] : holds_) until = std::min(until, hold.until);
    const auto pause = std::max(std::chrono::milliseconds(1),
                                std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()));
    auto notification = connection.next_notification(pause);
    if (!notification) return notification.error();
    if (*notification) take((*notification)->payload);
    end_holds();
  }
  return {};
}

Status MapFollower::read_map(Connection& connection) {
  // The column is younger than some catalogs.
  auto rows = connection.query(
      fmt::format("SELECT shard, epoch, CASE WHEN until IS NULL THEN 0 WHEN until <= now() "
                  "THEN -1 ELSE ceil(extract(epoch FROM until - now()) * 1000) END::bigint, "
                  "node FROM {}.shards s, CAST(to_jsonb(s) ->> 'held_until' AS timestamptz) until",
                  config_.catalog.schema));
  if (!rows) return rows.error();
  std::vector<ShardPlaceChange> changes;
  for (int row = 0; row < rows->count(); ++row) {
    const auto change = change_of(rows->integer(row, 0), rows->integer(row, 1), rows->integer(row, 2),
                                  std::string(rows->text(row, 3)));
    if (change) changes.push_back(*change);
  }
  on_change_(changes);
  return {};
}

void MapFollower::take(std::string_view payload) {
  const int64_t shard = take_number(payload), epoch = take_number(payload), held_ms = take_number(payload);
  if (const auto change = change_of(shard, epoch, held_ms, std::string(payload))) on_change_({*change});
}

// A node that this proxy does not know yet: CatalogWatcher says what is to be done.
std::optional<ShardPlaceChange> MapFollower::change_of(int64_t shard, int64_t epoch, int64_t held_ms,
                                                       const std::string& node) {
  const NodeConfig* known = config_.find_node(node);
  if (shard < 0 || epoch < 0 || known == nullptr) return std::nullopt;
  ShardPlaceChange change;
  change.shard.value = static_cast<uint32_t>(shard);
  change.place = {known->id, {static_cast<uint64_t>(epoch)}, held_ms > 0, held_ms < 0};
  holds_.erase(change.shard.value);
  if (held_ms > 0)
    holds_[change.shard.value] = {Clock::now() + std::chrono::milliseconds(held_ms), change.place};
  return change;
}

void MapFollower::end_holds() {
  std::vector<ShardPlaceChange> ended;
  for (auto at = holds_.begin(); at != holds_.end();) {
    if (at->second.until > Clock::now()) {
      ++at;
      continue;
    }
    at->second.place.is_held = false;
    at->second.place.is_in_doubt = true;
    ended.push_back({{at->first}, at->second.place});
    at = holds_.erase(at);
  }
  if (!ended.empty()) on_change_(ended);
}

}  // namespace mosaic::admin
