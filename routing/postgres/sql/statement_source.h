#pragma once
// The text under analysis: the parse tree speaks of byte offsets, a plan of tokens. One per text.

#include <algorithm>
#include <span>
#include <string>
#include <string_view>

#include "routing/catalog_snapshot.h"
#include "routing/postgres/sql/token.h"

namespace mosaic::routing {

class StatementSource {
 public:
  StatementSource(std::string_view text, std::span<const Token> tokens, const CatalogSnapshot& catalog,
                  std::span<const std::string> schemas)
      : text_(text), tokens_(tokens), catalog_(catalog), schemas_(schemas) {}
  StatementSource(const StatementSource&) = delete;
  StatementSource& operator=(const StatementSource&) = delete;

  std::string_view text() const { return text_; }
  std::span<const Token> tokens() const { return tokens_; }
  const CatalogSnapshot& catalog() const { return catalog_; }

  // The first token that begins at `location` or later; tokens().size() behind the last.
  uint32_t first_token_from(size_t location) const {
    const auto at = std::lower_bound(tokens_.begin(), tokens_.end(), location,
                                     [](const Token& token, size_t offset) { return token.begin < offset; });
    return static_cast<uint32_t>(at - tokens_.begin());
  }
  // The token that begins at `location`, as the parse tree gives it; -1: none does.
  int find_token(int32_t location) const {
    if (location < 0) return -1;
    const uint32_t token = first_token_from(static_cast<size_t>(location));
    if (token == tokens_.size() || tokens_[token].begin != static_cast<uint32_t>(location)) return -1;
    return static_cast<int>(token);
  }
  std::string_view text_of(size_t token) const {
    return token < tokens_.size()
               ? text_.substr(tokens_[token].begin, tokens_[token].end - tokens_[token].begin)
               : std::string_view();
  }

  // Index into the catalog's tables of the listed table that a name means; -1: another relation, or none. A
  // name without schema means the first relation in the search path.
  int find_listed(std::string_view schema, std::string_view name) {
    if (!schema.empty() && schema != "public") return -1;
    const int found = catalog_.find_table(name);
    if (found < 0 || !schema.empty()) return found;
    const Table& table = catalog_.tables()[static_cast<size_t>(found)];
    if (!table.is_shadowed()) return found;
    depends_on_literals_ = true;
    for (const std::string& searched : schemas_) {
      if (searched == "public") return found;
      if (std::binary_search(table.other_schemas.begin(), table.other_schemas.end(), searched)) return -1;
    }
    return -1;
  }

  // Whoever reads a literal's value says so here: the plan then holds for this text only, not for its shape.
  void mark_literal_read() { depends_on_literals_ = true; }
  bool depends_on_literals() const { return depends_on_literals_; }

 private:
  std::string_view text_;
  std::span<const Token> tokens_;
  const CatalogSnapshot& catalog_;
  std::span<const std::string> schemas_;
  bool depends_on_literals_ = false;
};

}  // namespace mosaic::routing
