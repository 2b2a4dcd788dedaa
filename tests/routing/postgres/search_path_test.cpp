// Names without a schema, where another schema has a table of a listed table's name.

#include "routing/postgres/search_path.h"

#include <gtest/gtest.h>

#include "tests/routing/postgres/route_harness.h"

namespace mosaic::routing {

using namespace testing;

namespace {

using Schemas = std::vector<std::string>;

// audit.media, app.media and audit.countries stand beside the listed tables.
const CatalogSnapshot& shadowed_catalog() {
  static const CatalogSnapshot catalog([] {
    CatalogSnapshot::Parts parts = sample_parts();
    for (Table& table : parts.tables) {
      if (table.name == "media") table.other_schemas = {"app", "audit"};
      if (table.name == "countries") table.other_schemas = {"audit"};
    }
    parts.search_paths = {{"auditor", "audit, public"}, {"", "\"$user\", public"}};
    return parts;
  }());
  return catalog;
}

Placement placement_of(std::string_view text, NameScope names) {
  static Router router{RouterLimits{}};  // one for all: plans of one path must not be taken for another
  return router.analyze(text, shadowed_catalog(), {}, names).plan->parts.at(0).placement;
}

}  // namespace

TEST(SearchPath, is_split_as_postgresql_does) {
  EXPECT_EQ(split_search_path("public", ""), (Schemas{"public"}));
  EXPECT_EQ(split_search_path(" Audit , \"Pub\"\"lic\",'a, b'", ""), (Schemas{"audit", "Pub\"lic", "a, b"}));
  EXPECT_EQ(split_search_path("\"$user\", public", "app"), (Schemas{"app", "public"}));
  EXPECT_EQ(split_search_path("$user", "app"), (Schemas{"app"}));
  EXPECT_EQ(split_search_path("''", ""), (Schemas{""}));
  EXPECT_EQ(split_search_path("", ""), Schemas());
  EXPECT_EQ(split_search_path("\"open", ""), (Schemas{"open"}));
}

TEST(SearchPath, decides_which_table_a_name_means) {
  const char* keyed = "SELECT * FROM media WHERE user_id = 1";
  EXPECT_EQ(placement_of(keyed, {"", "someone"}), Placement::kSharded);
  EXPECT_EQ(placement_of(keyed, {"audit, public", ""}), Placement::kDefault);
  EXPECT_EQ(placement_of(keyed, {"public, audit", ""}), Placement::kSharded);
  EXPECT_EQ(placement_of(keyed, {"nothing, \"audit\", public", ""}), Placement::kDefault);
  EXPECT_EQ(placement_of(keyed, {"", "app"}), Placement::kDefault) << "\"$user\" has one";
  EXPECT_EQ(placement_of(keyed, {"", "auditor"}), Placement::kDefault)
      << "ALTER ROLE auditor SET search_path";
  EXPECT_EQ(placement_of(keyed, {"public", "auditor"}), Placement::kSharded) << "SET goes before";
  EXPECT_EQ(placement_of(keyed, {"elsewhere", ""}), Placement::kDefault)
      << "the server says that it does not exist";
  EXPECT_EQ(placement_of(keyed, {"", "someone"}), Placement::kSharded) << "and back";
}

TEST(SearchPath, counts_wherever_a_table_is_named) {
  const NameScope audit{"audit, public", ""};
  for (const char* text :
       {"INSERT INTO media VALUES (1)", "UPDATE media SET caption = 'x'", "DELETE FROM media",
        "COPY media FROM STDIN", "COPY media TO STDOUT", "TRUNCATE media", "CREATE INDEX ON media (caption)",
        "DROP TABLE media", "ALTER TABLE media ADD COLUMN x int",
        "SELECT 1 FROM unlisted WHERE EXISTS (SELECT FROM media)",
        "SELECT * FROM media m JOIN countries c ON true", "LOCK TABLE media", "TABLE countries",
        "COMMENT ON TABLE media IS 'x'"}) {
    EXPECT_EQ(placement_of(text, audit), Placement::kDefault) << text;
  }
  EXPECT_EQ(placement_of("TABLE countries", {"public", ""}), Placement::kReference);
  EXPECT_EQ(placement_of("SELECT * FROM public.media WHERE user_id = 1", audit), Placement::kSharded);
  EXPECT_EQ(placement_of("SELECT * FROM users WHERE user_id = 1", audit), Placement::kSharded)
      << "no other schema has it";
}

TEST(SearchPath, costs_nothing_where_no_table_is_shadowed) {
  EXPECT_FALSE(sample_catalog().has_shadowed_tables());
  Router router{RouterLimits{}};
  router.analyze("SELECT * FROM media WHERE user_id = 1", sample_catalog(), {}, {"audit", ""});
  router.analyze("SELECT * FROM media WHERE user_id = 2", sample_catalog(), {}, {"public", ""});
  EXPECT_EQ(router.statistics().hits, 1u) << "one plan for all";
}

TEST(SearchPath, temporary_namesakes_of_sharded_tables_are_refused) {
  expect_refusal("CREATE TEMP TABLE media (a int)", "0A000", "temporary table");
}

}  // namespace mosaic::routing
