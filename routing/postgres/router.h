#pragma once
// From a statement's text to a Route: tokenize, look the shape up (parse and analyse only on a miss),
// evaluate the keys, decide. Pure: same input, same Route. One Router per thread: it owns the shape cache and
// scratch space.

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "routing/byte_buffer.h"
#include "routing/catalog_snapshot.h"
#include "routing/postgres/client_encoding.h"
#include "routing/postgres/route.h"
#include "routing/postgres/search_path.h"
#include "routing/postgres/shape_use.h"
#include "routing/postgres/sql/reading.h"
#include "routing/postgres/sql/statement_plan.h"
#include "routing/postgres/sql/token.h"
#include "routing/postgres/wire/parameters.h"
#include "routing/result.h"

namespace mosaic::routing {

struct RouterLimits {
  size_t shape_cache_bytes = 16 << 20;  // per Router: `shape_cache_bytes` in the config
  uint64_t (*now_ns)() = nullptr;  // a monotonic clock for the time that parsing takes; none: counted as 0
};

// A statement that has been looked up. Views: `text` must outlive it; `plan` and `tokens` are valid until the
// next call of Router::analyze on the same Router (copy them to keep them, see CompiledStatement), as long as
// Router::generation() stays what it was behind the call.
struct AnalyzedStatement {
  std::string_view text;
  const StatementPlan* plan = nullptr;
  std::span<const Token> tokens;
  Hint comment_hint;        // points into text
  Reading reading;          // by which text was read
  ShapeUse* use = nullptr;  // where its runs are counted, valid as the plan is; null: not kept

  std::string_view text_of(const StatementPart& part) const;
};

// One row of SHOW SHAPES.
struct ShapeStatistics {
  std::string text;       // normalised: literals and parameters as ?
  std::string placement;  // "sharded", "reference", ... or the refusal's SQLSTATE
  ShapeCounts counts;
  uint64_t hits = 0;  // of its plans, in the shape cache
  uint64_t parse_ns = 0;
  size_t bytes = 0;
};
struct ShapeCacheStatistics {
  uint64_t hits = 0, misses = 0, evictions = 0, parse_ns = 0;
  size_t shapes = 0, bytes = 0, bytes_max = 0;
};

class Router {
 public:
  explicit Router(RouterLimits limits);
  ~Router();
  Router(const Router&) = delete;
  Router& operator=(const Router&) = delete;

  // Never fails: what can not be parsed has kind kInvalid. Plans are cached by shape; a changed
  // catalog.tables_fingerprint() empties the cache first. A text of too many tokens has a plan that is
  // refused, and no tokens. `names` is looked at only while the catalog has shadowed tables.
  AnalyzedStatement analyze(std::string_view text, const CatalogSnapshot& catalog, Reading reading = {},
                            const NameScope& names = {});
  // A changed limit: plans that no longer fit go at once. Ends the validity of what analyze() returned.
  void set_shape_cache_bytes(size_t bytes);
  // Grows with every call that ends the validity of what analyze() returned before.
  uint64_t generation() const;

  ShapeCacheStatistics statistics() const;
  // Those that took most time first, then those most used.
  std::vector<ShapeStatistics> shapes(size_t limit) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Decides where an analysed statement goes. `setting_hint`: the session's SET mosaic.* (the comment's hint
// wins). `anywhere`: the node to take for statements that any node answers. COPY FROM without a hint is
// decided by its first row: call it then with the row's key as a kKey hint. `encoding`: that of the text and
// the parameters; the setting hint's key is UTF8 (to_utf8() when it is set). PREPARE and EXECUTE of SQL are
// refused: who knows the prepared statement routes that. Errors: kNoShardKey, kManyShards, kKeyConflict,
// kKeyChange, kManyNodes, kUnusableKey, kDisagreeingParts, 22P05, kFeatureNotSupported and whatever the plan
// refuses; each with a hint of what to write instead.
Result<Route> route(const AnalyzedStatement& statement, const Parameters& parameters,
                    const Hint& setting_hint, const CatalogSnapshot& catalog, NodeId anywhere,
                    ClientEncoding encoding = ClientEncoding::kUtf8);

// The shard that a hint names. Errors: kInvalidParameter (no number, no such shard), kUnusableKey.
// `key_type`: how to read a kKey hint; `encoding`: that of its value.
Result<ShardId> shard_of_hint(const Hint& hint, KeyType key_type, const CatalogSnapshot& catalog,
                              ClientEncoding encoding = ClientEncoding::kUtf8);

// What is wrong with a text of kind kInvalid, in the parser's words: kSyntaxError, the place in its detail.
// Not for the way of a statement: it parses anew.
Error syntax_error_of(const AnalyzedStatement& statement);

// Appends the statement's text to `out`, every spliced name qualified with the schema of its part's shard.
void append_qualified(ByteBuffer& out, const AnalyzedStatement& statement, const Route& route,
                      const CatalogSnapshot& catalog);

// What append_qualified() does to a text, in characters: for mapping error positions back.
struct TextChange {
  uint32_t at = 0;  // in the client's text, from 0
  uint32_t old_length = 0;
  uint32_t new_length = 0;
};
// Replaces `changes`.
void collect_text_changes(const AnalyzedStatement& statement, const Route& route,
                          const CatalogSnapshot& catalog, std::vector<TextChange>& changes);
// The same where only a name was replaced, by one of `new_length` characters.
void collect_renaming_changes(const AnalyzedStatement& statement, TokenRange name, size_t new_length,
                              std::vector<TextChange>& changes);
// Adds those of a text that stands in a larger one, where `before` comes before it.
void add_inner_changes(std::string_view before, std::span<const TextChange> inner,
                       std::vector<TextChange>& changes);
// A position (from 1) in the text that was sent, as a position in the client's text.
uint32_t original_position(std::span<const TextChange> changes, uint32_t sent_position);

// An AnalyzedStatement that owns what it points to: prepared statements keep one.
class CompiledStatement {
 public:
  CompiledStatement(const AnalyzedStatement& statement);
  CompiledStatement(const CompiledStatement&) = delete;
  CompiledStatement& operator=(const CompiledStatement&) = delete;
  const AnalyzedStatement& view() const { return view_; }
  const std::string& text() const { return text_; }
  const StatementPlan& plan() const { return plan_; }

 private:
  std::string text_;
  StatementPlan plan_;
  ShapeUseRef use_;
  std::vector<Token> tokens_;
  AnalyzedStatement view_;
};

}  // namespace mosaic::routing
