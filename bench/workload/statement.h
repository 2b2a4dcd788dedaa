#pragma once
// The photo application's statements, as it would write them for one PostgreSQL: nothing in them knows of
// shards.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mosaic::workload {

// How statements reach the server; the names are pgbench's.
enum class QueryMode : uint8_t {
  kSimple,    // Query with the values as literals
  kExtended,  // unnamed Parse, Bind, Execute each time
  kPrepared,  // named statements, prepared once per connection
};
inline constexpr QueryMode kQueryModes[] = {QueryMode::kSimple, QueryMode::kExtended, QueryMode::kPrepared};
std::string_view to_text(QueryMode mode);

enum class StatementId : uint8_t {
  kBegin,
  kCommit,
  kRollback,
  kSignUp,         // user, name, bio, country
  kReadProfile,    // user
  kReadHome,       // user: with the name of the country, a reference table
  kReadActivity,   // user: join of two sharded tables on the key
  kReadFeed,       // user
  kReadPhoto,      // photo: by ID alone
  kUpload,         // user, caption, filter, width
  kLockPhoto,      // photo: SELECT ... FOR UPDATE, by ID alone
  kEditCaption,    // photo, caption
  kCountEdit,      // user
  kLike,           // user, photo
  kComment,        // user, photo, body
  kDeleteComment,  // comment: by ID alone
  kFollow,         // user, followee
  kWriteSetting,   // name, value: a table pinned to one node
  kReadSetting,    // name
};
inline constexpr size_t kStatementCount = static_cast<size_t>(StatementId::kReadSetting) + 1;

// The text with $1, $2 ... in it.
std::string_view text_of(StatementId id);
// Under which name `id` is prepared.
std::string_view name_of(StatementId id);

struct Value {
  bool is_text = false;
  int64_t integer = 0;
  std::string text;

  Value(int64_t number) : integer(number) {}
  Value(std::string string) : is_text(true), text(std::move(string)) {}
};

struct BoundStatement {
  StatementId id;
  std::vector<Value> values;
};

// The text with the values as literals: integers as such, text quoted for standard_conforming_strings = on.
std::string to_literal_text(const BoundStatement& statement);

}  // namespace mosaic::workload
