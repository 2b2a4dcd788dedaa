// The map on disk must come back as it went, and never come back damaged.
#include "admin/catalog/map_file.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "admin/catalog/catalog_json.h"

namespace mosaic::admin {
namespace {

class MapFileTest : public testing::Test {
 protected:
  MapFileTest() {
    std::string name = (std::filesystem::temp_directory_path() / "mosaic_map_XXXXXX").string();
    folder_ = mkdtemp(name.data());
  }
  ~MapFileTest() override { std::filesystem::remove_all(folder_); }

  static StoredMap some_map() {
    StoredMap map;
    map.written_at = std::chrono::system_clock::time_point(std::chrono::milliseconds(1'700'000'000'123));
    CatalogState& state = map.state;
    state.cluster_id = "5e0dd0b8-8f4a-4d1d-9f0e-0a35a8c33b4f";
    state.layout = {3, "xxh3", "shard_", 13, 10, 1314220021721, "pg1"};
    state.epoch = 7;
    state.is_complete = true;
    state.shard_nodes = {"pg1", "pg2", "pg1"};
    state.nodes = {"pg1", "pg2", "pg3"};
    CatalogTable media{"media",
                       routing::TableKind::kSharded,
                       "user_id",
                       "id",
                       "",
                       routing::KeyType::kUuid,
                       {{"id", 20}, {"user_id", 2950}}};
    CatalogTable pinned{"settings", routing::TableKind::kPinned, "", "", "pg2", routing::KeyType::kInt8, {}};
    state.tables = {media, pinned};
    return map;
  }
  std::string text_of(const std::string& path) {
    std::ifstream file(path);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }
  void replace_text(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

  std::filesystem::path folder_;
};

TEST_F(MapFileTest, comes_back_as_it_went) {
  const MapFile file(folder_ / "made" / "by_write");
  EXPECT_TRUE(file.is_missing());
  ASSERT_TRUE(file.write(some_map()));
  const auto map = file.read();
  ASSERT_TRUE(map) << map.error().to_line();
  EXPECT_EQ(map->state, some_map().state);
  EXPECT_EQ(map->written_at, some_map().written_at);
}

TEST_F(MapFileTest, is_replaced_as_a_whole_and_leaves_no_temporary_file) {
  const MapFile file(folder_);
  ASSERT_TRUE(file.write(some_map()));
  StoredMap newer = some_map();
  newer.state.epoch = 8;
  ASSERT_TRUE(file.write(newer));
  EXPECT_EQ(file.read()->state.epoch, 8u);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1);
}

TEST_F(MapFileTest, is_refused_when_any_byte_is_changed) {
  const MapFile file(folder_);
  ASSERT_TRUE(file.write(some_map()));
  const std::string good = text_of(file.path());
  for (size_t at = 0; at < good.size(); ++at) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x01);
    replace_text(file.path(), bad);
    EXPECT_FALSE(file.read()) << "byte " << at << " of: " << bad;
  }
}

TEST_F(MapFileTest, is_refused_when_it_is_cut_anywhere) {
  const MapFile file(folder_);
  ASSERT_TRUE(file.write(some_map()));
  const std::string good = text_of(file.path());
  for (size_t length = 0; length < good.size(); ++length) {
    replace_text(file.path(), good.substr(0, length));
    EXPECT_FALSE(file.read()) << "length " << length;
  }
}

TEST_F(MapFileTest, of_another_format_is_refused_by_that_reason) {
  const MapFile file(folder_);
  replace_text(file.path(), "mosaic-map 9 0123456789abcdef {}");
  const auto map = file.read();
  ASSERT_FALSE(map);
  EXPECT_EQ(map.error().detail, "it has format 9, this Mosaic reads format 1");
}

TEST_F(MapFileTest, of_an_earlier_version_has_in_use_what_has_data) {
  std::string text = to_json(some_map().state);
  const size_t begin = text.find(" \"nodes\"");
  text.erase(begin, text.find("],", begin) + 2 - begin);
  const auto state = parse_catalog_json(text);
  ASSERT_TRUE(state) << state.error().to_line();
  EXPECT_EQ(state->nodes, (std::vector<std::string>{"pg1", "pg2"}));
  EXPECT_EQ(describe_data(*state, "pg2"), "1 shard, table settings");
}

TEST_F(MapFileTest, that_is_missing_is_an_error_that_names_the_path) {
  const auto map = MapFile(folder_).read();
  ASSERT_FALSE(map);
  EXPECT_NE(map.error().message.find(folder_.string()), std::string::npos);
}

TEST_F(MapFileTest, tells_why_it_can_not_be_written) {
  replace_text(folder_ / "file", "x");
  const auto status = MapFile(folder_ / "file").write(some_map());
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().detail, "");
}

}  // namespace
}  // namespace mosaic::admin
