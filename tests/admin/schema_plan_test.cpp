// Where statements of a schema file go, and what a later file adds to an earlier one.
#include "admin/init/schema_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "admin/config/config_loader.h"

namespace mosaic::admin {
namespace {

using testing::ElementsAre;

constexpr const char* kFirst =
    "CREATE TABLE media (user_id bigint); CREATE INDEX by_user ON media (user_id);";

Config config_of(const std::string& more = "") {
  ConfigLoad load = parse_config(
      "[database]\nname = 'app'\n[nodes.a]\n[nodes.b]\nport = 2\n[tables.media]\nkey = 'user_id'\n" + more,
      "x.toml");
  EXPECT_TRUE(load.errors.is_empty()) << load.errors.to_text("x.toml");
  return load.config;
}

SchemaPlan plan_of(const std::string& text, const Config& config, std::string* errors_text = nullptr) {
  const auto statements = routing::read_schema(text);
  EXPECT_TRUE(statements) << statements.error().to_line();
  ConfigErrors errors;
  SchemaPlan plan = plan_schema(*statements, config, errors);
  if (errors_text != nullptr) {
    *errors_text = errors.to_text("s.sql");
  } else {
    EXPECT_TRUE(errors.is_empty()) << errors.to_text("s.sql");
  }
  return plan;
}

std::vector<AppliedStatement> applied_of(const SchemaPlan& plan) {
  std::vector<AppliedStatement> applied;
  for (const PlacedStatement& placed : plan.statements)
    applied.push_back({placed.statement.text, placed.step});
  return applied;
}

std::vector<uint32_t> steps_of(const SchemaPlan& plan) {
  std::vector<uint32_t> steps;
  for (const PlacedStatement& placed : plan.statements) steps.push_back(placed.step);
  return steps;
}

TEST(SchemaPlan, takes_the_same_file_as_it_was) {
  const Config config = config_of();
  const SchemaPlan first = plan_of(kFirst, config);
  SchemaPlan again = plan_of(kFirst, config);
  EXPECT_THAT(continue_plan(again, applied_of(first), config), ElementsAre());
  EXPECT_EQ(again.digests, first.digests);
}

TEST(SchemaPlan, makes_a_step_of_what_the_file_has_gained) {
  const Config config = config_of("[tables.albums]\nkey = 'user_id'\n");
  const SchemaPlan first = plan_of(kFirst, config);
  EXPECT_THAT(first.uncreated_tables, ElementsAre("albums"));
  // In the middle of the file, which its order in the plan is not.
  SchemaPlan second = plan_of("CREATE TABLE albums (user_id bigint);" + std::string(kFirst), config);
  EXPECT_THAT(continue_plan(second, applied_of(first), config), ElementsAre());
  EXPECT_THAT(steps_of(second), ElementsAre(0, 0, 1));
  EXPECT_EQ(second.step_of(first.digest()), 0u);
  EXPECT_EQ(second.last_step(), 1u);
  EXPECT_TRUE(second.creates("albums", 0));
  EXPECT_FALSE(second.creates("media", 0));
  EXPECT_TRUE(second.creates("media", std::nullopt));

  SchemaPlan third = plan_of("CREATE TABLE albums (user_id bigint);" + std::string(kFirst) +
                                 "ALTER TABLE media ADD COLUMN note text; DROP INDEX by_user;",
                             config);
  EXPECT_THAT(continue_plan(third, applied_of(second), config), ElementsAre());
  EXPECT_THAT(steps_of(third), ElementsAre(0, 0, 1, 2, 2));
  EXPECT_EQ(third.step_of(first.digest()), 0u);
  EXPECT_EQ(third.step_of(second.digest()), 1u);
  EXPECT_EQ(third.step_of("another"), std::nullopt);
}

TEST(SchemaPlan, tells_what_was_applied_and_is_gone) {
  const Config config = config_of();
  const SchemaPlan first = plan_of(kFirst, config);
  SchemaPlan changed = plan_of(
      "CREATE TABLE media (user_id bigint, note text);\nCREATE INDEX by_user ON media (user_id);", config);
  EXPECT_THAT(continue_plan(changed, applied_of(first), config),
              ElementsAre("applied, but not in the file now: CREATE TABLE media (user_id bigint)",
                          "line 1: new or changed: CREATE TABLE media (user_id bigint, note text)"));
}

struct Wrong {
  const char* text;
  const char* expected;
};
class SchemaErrors : public testing::TestWithParam<Wrong> {};

TEST_P(SchemaErrors, say_what_to_write_instead) {
  std::string errors;
  plan_of(GetParam().text, config_of(), &errors);
  EXPECT_NE(errors.find(GetParam().expected), std::string::npos) << errors;
}

INSTANTIATE_TEST_SUITE_P(
    all, SchemaErrors,
    testing::Values(Wrong{"CREATE TABLE public.media (user_id bigint)", "leave \"public.\" out"},
                    Wrong{"CREATE TABLE audit.media (user_id bigint)", "names must be without a schema"},
                    Wrong{"DROP TABLE media", "DROP INDEX, DROP TRIGGER and DROP POLICY"},
                    Wrong{"DROP INDEX a, b", "drop one thing with each statement"},
                    Wrong{"DROP INDEX by_nobody", "is not created before this line"},
                    Wrong{"CREATE TABLE media (a int); DROP TRIGGER t ON likes",
                          "is not created before this line"},
                    Wrong{"CREATE INDEX CONCURRENTLY i ON media (a)", "can not run in a transaction"}));

}  // namespace
}  // namespace mosaic::admin
