#include "routing/postgres/router.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "routing/postgres/splice_spaces.h"
#include "routing/postgres/sql/analysis.h"
#include "routing/postgres/sql/nesting.h"
#include "routing/postgres/sql/parse_tree.h"
#include "routing/postgres/sql/portable_text.h"
#include "routing/postgres/sql/shape_cache.h"
#include "routing/postgres/sql/tokenizer.h"
#include "routing/sqlstate.h"

namespace mosaic::routing {

namespace {

// Scratch memory above this goes back after the statement that needed it.
constexpr size_t kScratchBytesKept = 256 << 10;

std::string_view placement_name(const StatementPlan& plan) {
  if (plan.parts.empty()) return "empty";
  const StatementPart& part = plan.parts.front();
  if (part.refusal) return part.refusal->sqlstate;
  switch (part.placement) {
    case Placement::kAnywhere:
      return "anywhere";
    case Placement::kReference:
      return "reference";
    case Placement::kAllNodes:
      return "all nodes";
    case Placement::kPinned:
      return "pinned";
    case Placement::kDefault:
      return "default";
    case Placement::kSharded:
      return "sharded";
  }
  return "";
}

}  // namespace

struct Router::State {
  explicit State(RouterLimits router_limits)
      : limits(router_limits), cache(router_limits.shape_cache_bytes) {}

  uint64_t now_ns() const { return limits.now_ns == nullptr ? 0 : limits.now_ns(); }

  struct Found {
    const StatementPlan* plan;
    ShapeUse* use;
  };
  Found find_plan(std::string_view text, const CatalogSnapshot& catalog, Reading reading);
  Found make_plan(std::string_view text, uint64_t shape_hash, const CatalogSnapshot& catalog,
                  Reading reading);
  void set_names(const CatalogSnapshot& catalog, const NameScope& names);
  // What tells apart the plans of texts that their literals or the search path decide.
  std::string_view key_of(std::string_view text) {
    if (schemas.empty()) return text;
    return text_key = schemas_key + std::string(text);
  }
  Found keep_uncached(StatementPlan plan) {
    uncached_plan = std::move(plan);
    return {&uncached_plan, nullptr};
  }

  RouterLimits limits;
  Tokenizer tokenizer;
  ShapeUses uses;
  ShapeCache cache;
  std::vector<Token> spelled_tokens;  // of the last statement, when its spelling was known
  StatementPlan uncached_plan;        // of the last statement, when the cache does not hold it
  uint64_t tables_fingerprint = 0;
  std::vector<std::string> schemas;  // the search path, while a table is shadowed
  std::string schemas_key, text_key;
  uint64_t generation = 0;
  ShapeCacheStatistics counts;
};

Router::State::Found Router::State::find_plan(std::string_view text, const CatalogSnapshot& catalog,
                                              Reading reading) {
  using KeyKind = ShapeCache::KeyKind;
  const uint64_t shape_hash = ShapeCache::hash_of(KeyKind::kShape, tokenizer.shape());
  ShapeCache::Entry* entry = cache.find(KeyKind::kShape, tokenizer.shape(), shape_hash);
  if (entry != nullptr && entry->depends_on_literals) {
    const std::string_view key = key_of(text);
    const KeyKind kind = ShapeCache::text_kind(reading);
    entry = cache.find(kind, key, ShapeCache::hash_of(kind, key));
  } else if (entry != nullptr) {
    // Worth it from the second text of a shape on; most shapes of a flood of them have but one.
    cache.keep_spelling(*entry, text, reading, tokenizer.tokens(), tokenizer.hint());
  }
  if (entry != nullptr) {
    ++counts.hits;
    return {&entry->plan, entry->use.get()};
  }
  ++counts.misses;
  return make_plan(text, shape_hash, catalog, reading);
}

Router::State::Found Router::State::make_plan(std::string_view text, uint64_t shape_hash,
                                              const CatalogSnapshot& catalog, Reading reading) {
  using KeyKind = ShapeCache::KeyKind;
  const uint64_t start_ns = now_ns();
  Analysis analysis = analyze_text(text, tokenizer.tokens(), reading, catalog, schemas);
  const uint64_t parse_ns = now_ns() - start_ns;
  counts.parse_ns += parse_ns;
  // Another text of the same shape may be valid: 'x' can be wrong where 'y' is right.
  if (!analysis.is_valid) return keep_uncached(std::move(analysis.plan));
  const ShapeUseRef use = uses.find_or_add(tokenizer.shape());
  use->placement = placement_name(analysis.plan);
  use->parse_ns += parse_ns;
  const ShapeCache::Entry* entry = nullptr;
  if (analysis.depends_on_literals) {
    if (cache.find(KeyKind::kShape, tokenizer.shape(), shape_hash) == nullptr) {
      cache.insert(KeyKind::kShape, tokenizer.shape(), shape_hash, {}, true, 0);
    }
    const std::string_view key = key_of(text);
    const KeyKind kind = ShapeCache::text_kind(reading);
    const uint64_t text_hash = ShapeCache::hash_of(kind, key);
    entry = cache.insert(kind, key, text_hash, std::move(analysis.plan), false, parse_ns, use);
  } else {
    entry = cache.insert(KeyKind::kShape, tokenizer.shape(), shape_hash, std::move(analysis.plan), false,
                         parse_ns, use);
  }
  // insert() leaves the plan alone when it does not take it.
  if (entry == nullptr) return keep_uncached(std::move(analysis.plan));
  return {&entry->plan, use.get()};
}

std::string_view AnalyzedStatement::text_of(const StatementPart& part) const {
  const uint32_t begin = tokens[part.first_token].begin;
  return text.substr(begin, tokens[part.last_token - 1].end - begin);
}

Router::Router(RouterLimits limits) : state_(std::make_unique<State>(limits)) {}
Router::~Router() = default;

void Router::State::set_names(const CatalogSnapshot& catalog, const NameScope& names) {
  const std::string_view path =
      names.search_path.empty() ? catalog.search_path_of(names.role) : names.search_path;
  schemas = split_search_path(path, names.role);
  schemas_key.clear();
  for (const std::string& schema : schemas) schemas_key += schema + '\x1f';
  schemas_key += '\x1e';
}

AnalyzedStatement Router::analyze(std::string_view text, const CatalogSnapshot& catalog, Reading reading,
                                  const NameScope& names) {
  State& state = *state_;
  ++state.generation;
  if (catalog.has_shadowed_tables()) {
    state.set_names(catalog, names);
  } else if (!state.schemas.empty()) {
    state.schemas.clear();
  }
  if (state.tables_fingerprint != catalog.tables_fingerprint()) {
    state.cache.clear();
    state.tables_fingerprint = catalog.tables_fingerprint();
  }
  Hint hint;
  if (const auto* entry = state.cache.find_by_spelling(text, reading, state.spelled_tokens, hint)) {
    ++state.counts.hits;
    return {text, &entry->plan, state.spelled_tokens, hint, reading, entry->use.get()};
  }
  // The previous statement's tokens were promised until this call.
  state.tokenizer.shrink_to(kScratchBytesKept);
  const bool is_read = state.tokenizer.read(text, reading);
  if (state.tokenizer.has_too_many_tokens())
    return {text, state.keep_uncached(too_many_tokens_plan()).plan, {}, {}, reading};
  const State::Found found = is_read ? state.find_plan(text, catalog, reading)
                                     : state.keep_uncached(invalid_plan(state.tokenizer.tokens().size()));
  return {text, found.plan, state.tokenizer.tokens(), state.tokenizer.hint(), reading, found.use};
}

void Router::set_shape_cache_bytes(size_t bytes) {
  ++state_->generation;
  state_->cache.set_bytes_max(bytes);
}

uint64_t Router::generation() const { return state_->generation; }

ShapeCacheStatistics Router::statistics() const {
  ShapeCacheStatistics statistics = state_->counts;
  statistics.evictions = state_->cache.evictions();
  statistics.shapes = state_->cache.size();
  statistics.bytes = state_->cache.bytes();
  statistics.bytes_max = state_->cache.bytes_max();
  return statistics;
}

std::vector<ShapeStatistics> Router::shapes(size_t limit) const {
  std::unordered_map<const ShapeUse*, ShapeStatistics> by_use;
  state_->cache.for_each([&](const ShapeCache::Entry& entry) {
    if (!entry.use) return;
    ShapeStatistics& shape = by_use[entry.use.get()];
    shape.hits += entry.hits;
    shape.bytes += entry.bytes;
  });
  std::vector<const ShapeUse*> uses;
  state_->uses.for_each([&](const ShapeUse& use) { uses.push_back(&use); });
  const auto rank = [&](const ShapeUse* use) {
    return std::tuple(use->counts.time_us, use->counts.calls, by_use[use].hits);
  };
  std::stable_sort(uses.begin(), uses.end(), [&](const auto* a, const auto* b) { return rank(a) > rank(b); });
  if (uses.size() > limit) uses.resize(limit);
  std::vector<ShapeStatistics> shapes;
  for (const ShapeUse* use : uses) {
    ShapeStatistics& shape = shapes.emplace_back(std::move(by_use[use]));
    shape.text = use->text();
    shape.placement = use->placement;
    shape.counts = use->counts;
    shape.parse_ns = use->parse_ns;
  }
  return shapes;
}

void append_qualified(ByteBuffer& out, const AnalyzedStatement& statement, const Route& route,
                      const CatalogSnapshot& catalog) {
  size_t copied = 0;
  const std::string_view text = statement.text;
  for (size_t i = 0; i < statement.plan->parts.size(); ++i) {
    const StatementPart& part = statement.plan->parts[i];
    if (part.splices.empty()) continue;
    const std::string_view schema = catalog.schema_of(route.shard_of_part(i));
    for (const Splice& splice : part.splices) {
      const Token& first = statement.tokens[splice.token];
      const Token& last = statement.tokens[splice.token + splice.count - 1];
      const size_t before = first.begin - copied;
      const SpliceSpaces spaces = spaces_around(text, first.begin, last.end);
      char* at = out.extend(before + spaces.before + schema.size() + 1 + splice.name.size() + spaces.after);
      std::copy_n(text.data() + copied, before, at);
      at = std::fill_n(at + before, spaces.before, ' ');
      at = std::copy(schema.begin(), schema.end(), at);
      *at++ = '.';
      at = std::copy(splice.name.begin(), splice.name.end(), at);
      std::fill_n(at, spaces.after, ' ');
      copied = last.end;
    }
  }
  out.append(text.substr(copied));
}

Error syntax_error_of(const AnalyzedStatement& statement) {
  const auto parsed = text_to_parse(statement.text, statement.tokens, statement.reading);
  const std::string_view text = parsed ? std::string_view(parsed->text) : statement.text;
  ParseFailure failure;
  if (estimate_nesting(statement.text, statement.tokens) <= kNestingMax)
    failure = ParseTree::find_failure(text);
  Error error{sqlstate::kSyntaxError, std::move(failure.message), "", ""};
  if (error.message.empty()) error.message = "the statement is not SQL";
  if (failure.position == 0) return error;
  // Behind rewritten strings a character is no longer where the client wrote it.
  error.detail = fmt::format("At character {}{}.", failure.position, parsed ? " of: " + parsed->text : "");
  return error;
}

CompiledStatement::CompiledStatement(const AnalyzedStatement& statement)
    : text_(statement.text),
      plan_(*statement.plan),
      use_(statement.use),
      tokens_(statement.tokens.begin(), statement.tokens.end()) {
  view_ = {text_, &plan_, tokens_, statement.comment_hint, statement.reading, use_.get()};
  if (view_.comment_hint.kind != Hint::Kind::kNone) {
    const size_t offset = static_cast<size_t>(statement.comment_hint.value.data() - statement.text.data());
    view_.comment_hint.value = std::string_view(text_).substr(offset, statement.comment_hint.value.size());
  }
}

}  // namespace mosaic::routing
