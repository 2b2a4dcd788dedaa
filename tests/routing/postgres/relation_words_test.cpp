// Names that stand where relations stand, in sources of functions and views.
#include "routing/postgres/sql/relation_words.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mosaic::routing {
namespace {

struct Source {
  const char* text;
  std::vector<std::string> names;
};
class RelationWords : public testing::TestWithParam<Source> {};

TEST_P(RelationWords, are_found) {
  EXPECT_THAT(find_relation_words(GetParam().text), testing::ElementsAreArray(GetParam().names))
      << GetParam().text;
}

INSTANTIATE_TEST_SUITE_P(
    all, RelationWords,
    testing::Values(
        Source{"SELECT count(*) FROM media", {"media"}},
        Source{"SELECT media FROM public.Users u, ONLY likes AS l JOIN \"Odd\"\"One\" USING (user_id)",
               {"Odd\"One", "likes", "users"}},
        Source{"SELECT likes, media.users FROM audit.comments WHERE likes = 'FROM media'", {}},
        Source{"SELECT a, b FROM x WHERE c IN (SELECT d, e FROM y, z) ORDER BY f, g", {"x", "y", "z"}},
        Source{"SELECT * FROM generate_series(1, 3) g, media", {"media"}},
        Source{"BEGIN INSERT INTO media (id) VALUES (1); UPDATE likes SET a = 1, b = 2; DELETE FROM users "
               "USING follows "
               "WHERE true; RETURN new; END",
               {"follows", "likes", "media", "users"}},
        Source{"BEGIN EXECUTE format('INSERT INTO %I.media VALUES (1)', tg_table_schema); RETURN new; END",
               {}},
        Source{"SELECT extract(year FROM media), trim(both ' ' from likes), a IS DISTINCT FROM users FROM t",
               {"t"}},
        Source{"SELECT * FROM (SELECT a, b FROM x) s, media", {"media", "x"}},
        Source{"-- FROM media\nSELECT 1 /* FROM likes */", {}}, Source{"FROM 'unterminated", {}}));

}  // namespace
}  // namespace mosaic::routing
