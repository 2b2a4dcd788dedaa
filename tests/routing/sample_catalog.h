#pragma once
// The catalog that the routing tests route by: three nodes, 64 shards, tables of every kind.

#include <string>

#include "routing/catalog_snapshot.h"
#include "routing/postgres/function_classes.h"
#include "routing/postgres/router.h"

namespace mosaic::routing::testing {

inline CatalogSnapshot::Parts sample_parts() {
  CatalogSnapshot::Parts parts;
  parts.epoch = Epoch{7};
  parts.node_names = {"pg1", "pg2", "pg3"};
  parts.default_node = NodeId{0};
  for (uint16_t shard = 0; shard < 64; ++shard)
    parts.places.push_back({NodeId{static_cast<uint16_t>(shard % 3)}, {}, false});
  constexpr uint32_t kInt8 = 20, kText = 25, kUuid = 2950;
  const auto sharded = [](std::string name, std::string key, std::string id, KeyType type) {
    Table table;
    table.name = std::move(name);
    table.key = std::move(key);
    table.id = std::move(id);
    table.key_type = type;
    return table;
  };
  Table users = sharded("users", "user_id", "", KeyType::kInt8);
  users.columns = {{"user_id", kInt8}, {"name", kText}};
  Table media = sharded("media", "user_id", "id", KeyType::kInt8);
  media.columns = {{"id", kInt8}, {"user_id", kInt8}, {"caption", kText}, {"created_at", 1184}};
  Table likes = sharded("likes", "user_id", "id", KeyType::kInt8);
  likes.columns = {{"id", kInt8}, {"user_id", kInt8}, {"media_id", kInt8}};
  Table events = sharded("events", "user_id", "id", KeyType::kInt8);  // not created yet: columns unknown
  Table accounts = sharded("accounts", "email", "", KeyType::kText);
  accounts.columns = {{"email", kText}, {"name", kText}};
  Table devices = sharded("devices", "device", "", KeyType::kUuid);
  devices.columns = {{"device", kUuid}, {"name", kText}};
  Table odd = sharded("Odd \"table\"", "user_id", "", KeyType::kInt8);
  odd.columns = {{"user_id", kInt8}, {"Key", kText}};
  Table countries;
  countries.name = "countries";
  countries.kind = TableKind::kReference;
  countries.columns = {{"code", kText}, {"name", kText}};
  Table settings;
  settings.name = "settings";
  settings.kind = TableKind::kPinned;
  settings.node = NodeId{1};
  Table jobs;
  jobs.name = "jobs";
  jobs.kind = TableKind::kPinned;
  jobs.node = NodeId{2};
  Table coupons = sharded("coupons", "code", "", KeyType::kText);  // varchar(3)
  coupons.key_length_max = 3;
  coupons.columns = {{"code", 1043}, {"name", kText}};
  Table vouchers = coupons;  // varchar(5)
  vouchers.name = "vouchers";
  vouchers.key_length_max = 5;
  Table airports = sharded("airports", "code", "", KeyType::kPaddedText);  // char(4)
  airports.columns = {{"code", 1042}, {"name", kText}};
  parts.tables = {users,     media,    likes, events,  accounts, devices, odd,
                  countries, settings, jobs,  coupons, vouchers, airports};
  parts.functions = FunctionClasses::empty();
  return parts;
}

inline const CatalogSnapshot& sample_catalog() {
  static const CatalogSnapshot catalog(sample_parts());
  return catalog;
}

inline ShardId shard_of_user(int64_t user) {
  KeyValue key;
  key.integer = user;
  return shard_of(ShardFunction::kXxh3, key, sample_catalog().shard_count());
}

// An ID as next_id() of `shard` makes them.
inline int64_t id_on(ShardId shard) { return (int64_t{123456789} << 23) | (int64_t{shard.value} << 10) | 5; }

// A user other than `user` on the same (or on another) shard.
inline int64_t user_beside(int64_t user, bool is_same_shard) {
  for (int64_t other = user + 1;; ++other) {
    if ((shard_of_user(other) == shard_of_user(user)) == is_same_shard) return other;
  }
}

}  // namespace mosaic::routing::testing
