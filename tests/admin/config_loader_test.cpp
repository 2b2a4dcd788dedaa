// One wrong file, one table of errors: positions, what was expected, what came, the nearest key.
#include "admin/config/config_loader.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "admin/config/config_checks.h"

namespace mosaic::admin {
namespace {

constexpr const char* kGood = R"([database]
name = "app"
[nodes.pg1]
[nodes.pg2]
port = 5433
)";

std::string errors_of(const std::string& text) {
  return parse_config(text, "/etc/mosaic/x.toml").errors.to_text("x.toml");
}

// The good file, then `more`; the good file has 5 lines.
std::string errors_with(const std::string& more) { return errors_of(kGood + more); }

TEST(ConfigLoader, takes_the_smallest_file) { EXPECT_EQ(errors_of(kGood), ""); }

TEST(ConfigLoader, tells_the_nearest_key) {
  EXPECT_EQ(errors_with("[pool]\ndefault_pool_sice = 3\n"),
            "x.toml:7:1: unknown key \"default_pool_sice\" in [pool]; did you mean \"default_pool_size\"?");
}

TEST(ConfigLoader, tells_the_nearest_section) {
  EXPECT_EQ(errors_with("[pols]\nx = 3\n"), "x.toml:6:2: unknown section \"pols\"; did you mean [pool]?");
}

TEST(ConfigLoader, tells_the_section_that_a_key_belongs_to) {
  EXPECT_EQ(errors_with("[limits]\ndefault_pool_size = 3\n"),
            "x.toml:7:1: unknown key \"default_pool_size\" in [limits]; it belongs in [pool]");
  EXPECT_EQ(errors_of("workers = 3\n" + std::string(kGood)),
            "x.toml:1:1: unknown key \"workers\"; it belongs in [mosaic]");
}

TEST(ConfigLoader, lists_the_keys_when_none_is_near) {
  EXPECT_EQ(errors_with("[tables.a]\nkey = \"b\"\nxyzzyxyzzy = 1\n"),
            "x.toml:8:1: unknown key \"xyzzyxyzzy\" in [tables.a]; it takes key, id, unique_within_shard, "
            "counted_within_shard, reference, node");
}

TEST(ConfigLoader, tells_all_errors_at_once_in_the_order_of_the_file) {
  const std::string errors =
      errors_with("[listen]\nport = 70000\n[pool]\nserver_lifetime = \"long\"\n[auth]\ntype = \"md5\"\n");
  EXPECT_EQ(errors,
            "x.toml:7:8: listen.port: expected a whole number from 0 to 65535, got 70000\n"
            "x.toml:9:19: pool.server_lifetime: expected seconds from 0 to 1000000, such as 30 or 0.5, got "
            "\"long\"\n"
            "x.toml:11:8: auth.type: expected \"scram-sha-256\" or \"trust\", got \"md5\"");
}

TEST(ConfigLoader, tells_the_line_of_a_syntax_error) {
  EXPECT_EQ(errors_of("[database]\nname = \n").substr(0, 30), "x.toml:2:8: not valid TOML: Er");
}

TEST(ConfigLoader, tells_what_is_missing) {
  EXPECT_EQ(errors_of("[nodes.pg1]\n"),
            "x.toml: missing key \"name\" in [database]: text in quotes (The application's database, as "
            "clients name it.)");
  EXPECT_EQ(errors_of("[database]\nname = 'app'\n"),
            "x.toml: expected at least one node: a section [nodes.NAME] with host and port");
}

TEST(ConfigLoader, reads_durations_as_seconds) {
  const Config config =
      parse_config(kGood + std::string("[pool]\nquery_wait_timeout = 0.5\nserver_lifetime = 7\n"), "x")
          .config;
  EXPECT_EQ(config.proxy.pool.query_wait_timeout_ms, 500u);
  EXPECT_EQ(config.proxy.pool.server_lifetime_ms, 7000u);
  EXPECT_EQ(config.values.at("pool.query_wait_timeout"), "0.5");
}

TEST(ConfigLoader, reads_sizes_as_bytes_or_text) {
  const Config config =
      parse_config(
          kGood + std::string("[limits]\nclient_buffer_bytes = 8192\nserver_buffer_bytes = \"2 MiB\"\n"), "x")
          .config;
  EXPECT_EQ(config.proxy.client_buffer_bytes, 8192u);
  EXPECT_EQ(config.proxy.server_buffer_bytes, 2u << 20);
  EXPECT_NE(errors_with("[limits]\nclient_buffer_bytes = \"2 MB\"\n"), "");
  EXPECT_NE(errors_with("[limits]\nclient_buffer_bytes = \"99999999999999GiB\"\n"), "");
}

TEST(ConfigLoader, keeps_the_nodes_in_the_order_of_the_file) {
  const Config config =
      parse_config("[database]\nname='app'\n[nodes.z]\n[nodes.a]\nport = 1\n[nodes.m]\nport = 2\n", "x")
          .config;
  ASSERT_EQ(config.proxy.nodes.size(), 3u);
  EXPECT_EQ(config.proxy.nodes[0].address.name, "z");
  EXPECT_EQ(config.proxy.nodes[1].address.name, "a");
  EXPECT_EQ(config.proxy.nodes[2].address.name, "m");
  EXPECT_EQ(config.default_node, "z");
  EXPECT_EQ(config.catalog.node, "z");
  EXPECT_EQ(config.proxy.nodes[2].address.dbname, "app");
}

TEST(ConfigLoader, starts_relative_paths_at_the_folder_of_the_file) {
  const Config config =
      parse_config(kGood + std::string("[mosaic]\nstate_dir = \"../state\"\npid_file = \"/run/m.pid\"\n"),
                   "/etc/mosaic/x.toml")
          .config;
  EXPECT_EQ(config.state_dir, "/etc/state");
  EXPECT_EQ(config.pid_file, "/run/m.pid");
  EXPECT_EQ(config.proxy.auth_file, "/etc/mosaic/userlist.txt");
}

TEST(ConfigLoader, hides_secrets) {
  const ConfigLoad load = parse_config(kGood + std::string("[catalog]\npassword = \"hunter2\"\n"), "x");
  EXPECT_EQ(load.config.values.at("catalog.password"), "\"***\"");
  const std::string errors = errors_with("[catalog]\npassword = [\"hunter2\"]\n");
  EXPECT_EQ(errors.find("hunter2"), std::string::npos) << errors;
  EXPECT_NE(errors, "");
}

struct WrongFile {
  const char* more;
  const char* expected;  // a part of the only error
};
class ConfigChecks : public testing::TestWithParam<WrongFile> {};

TEST_P(ConfigChecks, refuse_what_does_not_fit) {
  const ConfigLoad load = parse_config(kGood + std::string(GetParam().more), "x.toml");
  const std::string text = load.errors.to_text("x.toml");
  EXPECT_EQ(load.errors.size(), 1u) << text;
  EXPECT_NE(text.find(GetParam().expected), std::string::npos) << text;
}

INSTANTIATE_TEST_SUITE_P(
    all, ConfigChecks,
    testing::Values(
        WrongFile{"[catalog]\nnode = \"pg3\"\n",
                  "x.toml:7:1: catalog.node: expected the name of a [nodes.NAME] section, got "
                  "\"pg3\"; did you mean \"pg1\"?"},
        WrongFile{"[tables.t]\nnode = \"elsewhere\"\n", "tables.t.node: expected the name"},
        WrongFile{"[tables.t]\nkey = \"a\"\nreference = true\n", "got several"},
        WrongFile{"[tables.t]\n", "x.toml:6:1: tables.t: expected exactly one of"},
        WrongFile{"[tables.t]\nreference = true\nid = \"id\"\n", "tables.t.id: only a sharded table"},
        WrongFile{"[tables.\"public.t\"]\nkey = \"a\"\n", "without a schema"},
        WrongFile{"[shards]\nid_shard_bits = 16\n", "leaves 37 bits"},
        WrongFile{"[shards]\ncount = 9000\n", "expected at most 8192"},
        WrongFile{"[shards]\nid_epoch_ms = 4102444800000\n", "expected a time in the past"},
        WrongFile{"[shards]\nschema_prefix = \"Shard-\"\n", "expected a lower-case SQL name"},
        WrongFile{"[catalog]\nschema = \"public\"\n", "expected a schema of its own"},
        WrongFile{"[nodes.pg3]\nport = 5433\n", "same host, port and database as nodes.pg2"},
        WrongFile{"[nodes.pg3]\nport = 6432\n", "is where this proxy listens"},
        WrongFile{"[auth]\nadmin_users = [\"a\"]\nstats_users = [\"a\"]\n", "name each user once"},
        WrongFile{"[listen]\naddress = \"not an address\"\n",
                  "listen.address: expected an IP address of this host"},
        WrongFile{"[listen]\naddress = \"\"\n", "listen.address: expected an IP address of this host"},
        WrongFile{"pool = 3\n", ""}));

TEST(ConfigChecks, refuse_more_nodes_than_there_may_be_without_comparing_them_all) {
  std::string text = "[database]\nname = 'a'\n";
  for (int i = 0; i < 30'000; ++i)
    text += "[nodes.n" + std::to_string(i) + "]\nhost = 'h" + std::to_string(i) + "'\n";
  const ConfigLoad load = parse_config(text, "x.toml");
  EXPECT_EQ(load.errors.to_text("x"), "x: expected at most 1000 nodes, got 30000");
}

TEST(ConfigChecks, want_a_node_for_the_shards) {
  const std::string errors = errors_of(
      "[database]\nname = 'app'\n[nodes.pg1]\nshards = false\n[nodes.pg2]\nport = 1\nshards = false\n");
  EXPECT_NE(errors.find("expected a node for the shards"), std::string::npos) << errors;
  EXPECT_EQ(errors_of("[database]\nname = 'app'\n[nodes.pg1]\nshards = false\n[nodes.pg2]\nport = 1\n"), "");
}

// A folder with a configuration and an auth file.
class ConfigFiles : public testing::Test {
 protected:
  ConfigFiles() : folder_(testing::TempDir() + "mosaic_config_" + std::to_string(getpid())) {
    std::filesystem::create_directories(folder_);
  }
  ~ConfigFiles() override { std::filesystem::remove_all(folder_); }

  ConfigLoad load(const std::string& more, const std::string& users) {
    std::ofstream(folder_ + "/x.toml") << kGood << more;
    std::ofstream(folder_ + "/userlist.txt") << users;
    ConfigLoad load = load_config(folder_ + "/x.toml");
    if (load.errors.is_empty()) check_folders(load.config, load.errors, load.warnings);
    return load;
  }
  std::string state_dir() const { return "[mosaic]\nstate_dir = \"" + folder_ + "/state\"\n"; }

  const std::string folder_;
};

TEST_F(ConfigFiles, say_nothing_of_a_file_without_fault) {
  const ConfigLoad found = load(state_dir() + "[auth]\nadmin_users = ['app']\n", "\"app\" \"secret\"\n");
  EXPECT_EQ(found.errors.to_text("x") + found.warnings.to_text("x"), "");
}

TEST_F(ConfigFiles, tell_a_syntax_error_alone) {
  const ConfigLoad found = load("[mosaic\n", "");
  EXPECT_EQ(found.errors.size(), 1u) << found.errors.to_text("x");
  EXPECT_NE(found.errors.to_text("x").find("not valid TOML"), std::string::npos);
}

TEST_F(ConfigFiles, warn_of_users_who_can_not_log_in) {
  const std::string warnings =
      load(state_dir() + "[auth]\nadmin_users = ['boss', 'old']\nstats_users = ['watcher']\n",
           "\"old\" \"md50123456789abcdef0123456789abcdef\"\n\"app\" \"one\"\n\"app\" \"two\"\n")
          .warnings.to_text("x");
  for (const char* part : {"auth.admin_users: \"boss\" is not in the auth file",
                           "auth.admin_users: \"old\" has no usable secret",
                           "auth.stats_users: \"watcher\" is not in the auth file",
                           "user \"old\" has an md5 password", "user \"app\" stands here again"})
    EXPECT_NE(warnings.find(part), std::string::npos) << part << " is missing in\n" << warnings;
}

TEST_F(ConfigFiles, refuse_a_state_folder_that_can_not_be) {
  const std::string errors =
      load("[mosaic]\nstate_dir = \"" + folder_ + "/userlist.txt/state\"\n", "").errors.to_text("x");
  EXPECT_NE(errors.find("mosaic.state_dir: expected a folder"), std::string::npos) << errors;
  EXPECT_NE(errors.find("userlist.txt is no folder"), std::string::npos) << errors;
}

TEST(ConfigChecksOfFiles, miss_an_auth_file_that_is_not_there) {
  const ConfigLoad load = load_config("/nonexistent/mosaic.toml");
  EXPECT_EQ(load.errors.to_text("m.toml"),
            "m.toml: cannot read the configuration file: No such file or directory");
}

}  // namespace
}  // namespace mosaic::admin
