#include "proxy/postgres/login/startup_options.h"

#include <gtest/gtest.h>

namespace mosaic::proxy {
namespace {

using Settings = std::vector<Setting>;

TEST(StartupOptions, reads_every_way_to_write_a_setting) {
  const auto settings = parse_startup_options(" -c a=1  -cb=2\t--Log-Min=3 -c search_path=x,y ");
  ASSERT_TRUE(settings);
  EXPECT_EQ(*settings, (Settings{{"a", "1"}, {"b", "2"}, {"log_min", "3"}, {"search_path", "x,y"}}));
}

TEST(StartupOptions, takes_backslashed_characters_as_they_are) {
  const auto settings = parse_startup_options(R"(-c a=x\ y\\z\=)");
  ASSERT_TRUE(settings);
  EXPECT_EQ(*settings, (Settings{{"a", "x y\\z="}}));
}

TEST(StartupOptions, keeps_empty_values_and_values_with_equal_signs) {
  const auto settings = parse_startup_options("-c a= --b=c=d");
  ASSERT_TRUE(settings);
  EXPECT_EQ(*settings, (Settings{{"a", ""}, {"b", "c=d"}}));
}

TEST(StartupOptions, are_empty_for_blanks) {
  for (const char* text : {"", " ", "\t\n"}) {
    ASSERT_TRUE(parse_startup_options(text));
    EXPECT_TRUE(parse_startup_options(text)->empty());
  }
}

TEST(StartupOptions, refuses_other_switches_and_settings_without_value) {
  for (const char* text : {"-B 100", "-c", "-c a", "--a", "--", "x=1", "-c =1", "--=1", "-", "\\"}) {
    EXPECT_FALSE(parse_startup_options(text)) << text;
  }
}

}  // namespace
}  // namespace mosaic::proxy
