// The key table against the two files in conf/ that document it.
#include "admin/config/config_keys.h"

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "admin/config/config_loader.h"

namespace mosaic::admin {
namespace {

const std::string kConf = MOSAIC_SOURCE_DIR "/conf/";

std::string read_text(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(ConfigKeys, full_toml_loads_without_errors) {
  const ConfigLoad load = load_config(kConf + "full.toml");
  EXPECT_TRUE(load.errors.is_empty()) << load.errors.to_text("full.toml");
}

TEST(ConfigKeys, full_toml_holds_every_key) {
  const ConfigLoad load = load_config(kConf + "full.toml");
  std::set<const ConfigKey*> found;
  for (const auto& [name, position] : load.config.positions) found.insert(find_config_key_of(name));
  for (const ConfigKey& key : config_keys())
    EXPECT_TRUE(found.contains(&key)) << "conf/full.toml lacks [" << key.section << "] " << key.name;
}

TEST(ConfigKeys, full_toml_shows_the_defaults_of_the_code) {
  const ConfigLoad load = load_config(kConf + "full.toml");
  size_t compared = 0;
  for (const auto& [name, text] : load.config.values) {
    const ConfigKey* key = find_config_key_of(name);
    ASSERT_NE(key, nullptr) << name;
    if (key->default_toml == kRequired || key->default_toml == kNoDefault) continue;
    EXPECT_EQ(text, key->default_toml) << "conf/full.toml shows another default for " << name;
    ++compared;
  }
  EXPECT_GT(compared, 40u);
}

// And marks those that RELOAD takes.
TEST(ConfigKeys, full_toml_comments_every_key) {
  const ConfigLoad load = load_config(kConf + "full.toml");
  std::map<uint32_t, std::string> key_at;  // by line
  for (const auto& [name, position] : load.config.positions) key_at[position.line] = name;
  std::istringstream lines(read_text(kConf + "full.toml"));
  std::string line, before;
  for (uint32_t number = 1; std::getline(lines, line); before = line, ++number) {
    if (line.empty() || line[0] == '#' || line[0] == '[' || !before.starts_with('#')) continue;
    const auto at = key_at.find(number);
    ASSERT_NE(at, key_at.end()) << line;
    EXPECT_EQ(before.ends_with("(R)"), find_config_key_of(at->second)->is_reloadable) << at->second;
  }
}

TEST(ConfigKeys, the_defaults_of_the_structs_are_those_of_the_table) {
  const ConfigLoad load = parse_config("[database]\nname = 'app'\n[nodes.pg1]\n", "x.toml");
  ASSERT_TRUE(load.errors.is_empty()) << load.errors.to_text("x.toml");
  const proxy::ProxySettings& loaded = load.config.proxy;
  const proxy::ProxySettings coded;
  EXPECT_EQ(loaded.workers, coded.workers);
  EXPECT_EQ(loaded.listen_address, coded.listen_address);
  EXPECT_EQ(loaded.listen_port, coded.listen_port);
  EXPECT_EQ(loaded.listen_backlog, coded.listen_backlog);
  EXPECT_EQ(loaded.auth_type, coded.auth_type);
  EXPECT_EQ(loaded.max_client_conn, coded.max_client_conn);
  EXPECT_EQ(loaded.client_login_timeout_ms, coded.client_login_timeout_ms);
  EXPECT_EQ(loaded.client_idle_timeout_ms, coded.client_idle_timeout_ms);
  EXPECT_EQ(loaded.idle_transaction_timeout_ms, coded.idle_transaction_timeout_ms);
  EXPECT_EQ(loaded.query_timeout_ms, coded.query_timeout_ms);
  EXPECT_EQ(loaded.max_client_prepared_statements, coded.max_client_prepared_statements);
  EXPECT_EQ(loaded.max_statement_bytes, coded.max_statement_bytes);
  EXPECT_EQ(loaded.client_buffer_bytes, coded.client_buffer_bytes);
  EXPECT_EQ(loaded.server_buffer_bytes, coded.server_buffer_bytes);
  EXPECT_EQ(loaded.shape_cache_bytes, coded.shape_cache_bytes);
  EXPECT_EQ(loaded.max_held_bytes, coded.max_held_bytes);
  EXPECT_EQ(loaded.statement_cache_bytes, coded.statement_cache_bytes);
  EXPECT_EQ(loaded.pool.default_pool_size, coded.pool.default_pool_size);
  EXPECT_EQ(loaded.pool.max_prepared_statements, coded.pool.max_prepared_statements);
  EXPECT_EQ(loaded.pool.prepare_threshold, coded.pool.prepare_threshold);
  EXPECT_EQ(loaded.pool.prepare_simple_queries, coded.pool.prepare_simple_queries);
  EXPECT_EQ(loaded.pool.query_wait_timeout_ms, coded.pool.query_wait_timeout_ms);
  EXPECT_EQ(loaded.pool.server_connect_timeout_ms, coded.pool.server_connect_timeout_ms);
  EXPECT_EQ(loaded.pool.server_login_retry_ms, coded.pool.server_login_retry_ms);
  EXPECT_EQ(loaded.pool.server_idle_timeout_ms, coded.pool.server_idle_timeout_ms);
  EXPECT_EQ(loaded.pool.server_lifetime_ms, coded.pool.server_lifetime_ms);
  EXPECT_EQ(loaded.pool.cancel_wait_timeout_ms, coded.pool.cancel_wait_timeout_ms);
  EXPECT_EQ(loaded.pool.keepalive.idle_ms, coded.pool.keepalive.idle_ms);
  EXPECT_EQ(loaded.pool.keepalive.interval_ms, coded.pool.keepalive.interval_ms);
  EXPECT_EQ(loaded.pool.keepalive.count, coded.pool.keepalive.count);
  EXPECT_EQ(loaded.pool.keepalive.user_timeout_ms, coded.pool.keepalive.user_timeout_ms);
  EXPECT_EQ(loaded.pool.max_waiting_clients, coded.pool.max_waiting_clients);
  EXPECT_EQ(load.config.shards.id_layout.epoch_ms, routing::IdLayout{}.epoch_ms);
  EXPECT_EQ(load.config.shards.id_layout.shard_bits, routing::IdLayout{}.shard_bits);
  EXPECT_EQ(load.config.shards.id_layout.sequence_bits, routing::IdLayout{}.sequence_bits);
}

TEST(ConfigKeys, minimal_toml_loads_and_is_under_25_lines) {
  const ConfigLoad load = load_config(kConf + "minimal.toml");
  EXPECT_TRUE(load.errors.is_empty()) << load.errors.to_text("minimal.toml");
  const std::string text = read_text(kConf + "minimal.toml");
  EXPECT_LT(std::count(text.begin(), text.end(), '\n'), 25);
}

}  // namespace
}  // namespace mosaic::admin
