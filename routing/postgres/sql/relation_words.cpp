#include "routing/postgres/sql/relation_words.h"

#include <algorithm>
#include <span>

#include "routing/postgres/sql/keyword.h"
#include "routing/postgres/sql/sorted_words.h"
#include "routing/postgres/sql/tokenizer.h"

namespace mosaic::routing {

namespace {

// A relation's name follows. Sorted.
constexpr std::string_view kBeforeRelation[] = {"copy",       "from",  "into",     "join",   "lock", "only",
                                                "references", "table", "truncate", "update", "using"};
// A list of relations, with aliases and conditions between them, ends here. Sorted.
constexpr std::string_view kAfterList[] = {"begin",  "do",    "end",    "except",    "for",    "group",
                                           "having", "if",    "in",     "intersect", "limit",  "loop",
                                           "offset", "order", "return", "returning", "select", "set",
                                           "then",   "union", "values", "where",     "window"};

constexpr std::string_view kCallsWithFrom[] = {"extract", "overlay", "substring", "trim"};

class Finder {
 public:
  Finder(std::string_view text, std::span<const Token> tokens) : text_(text), tokens_(tokens) {}

  std::vector<std::string> find() {
    while (at_ < tokens_.size()) step();
    std::sort(names_.begin(), names_.end());
    names_.erase(std::unique(names_.begin(), names_.end()), names_.end());
    return std::move(names_);
  }

 private:
  std::string_view spelling(size_t at) const {
    return at < tokens_.size() ? text_.substr(tokens_[at].begin, tokens_[at].end - tokens_[at].begin)
                               : std::string_view();
  }
  bool is_word(size_t at) const {
    return at < tokens_.size() &&
           (tokens_[at].kind == TokenKind::kWord || tokens_[at].kind == TokenKind::kQuotedWord);
  }
  bool is_behind_dot() const { return at_ > 0 && spelling(at_ - 1) == "."; }

  // What a pair of parentheses holds, or the text outside of all.
  struct Level {
    bool is_list = false;          // behind a FROM, where commas separate relations
    bool is_special_call = false;  // extract(year FROM t): no relation
  };

  void step() {
    const std::string_view text = spelling(at_);
    if (text == "(")
      levels_.push_back({false, at_ > 0 && is_one_of(kCallsWithFrom, to_lower(spelling(at_ - 1)))});
    if (text == ")" && levels_.size() > 1) levels_.pop_back();
    if (text == ";") levels_.assign(1, {});
    if (text == "," && levels_.back().is_list) {
      ++at_;
      return take_name();
    }
    if (tokens_[at_].kind == TokenKind::kWord && !is_behind_dot()) {
      const std::string word = to_lower(text);
      if (is_one_of(kBeforeRelation, word)) return read_announced(word);
      if (is_one_of(kAfterList, word)) levels_.back().is_list = false;
    }
    ++at_;
  }

  void read_announced(const std::string& word) {
    const bool is_distinct = at_ > 0 && mosaic::routing::is_keyword(spelling(at_ - 1), "distinct");
    ++at_;
    if (word == "from" && (is_distinct || levels_.back().is_special_call)) return;
    if (word == "from") levels_.back().is_list = true;
    take_name();
  }

  std::string name_at(size_t at) const {
    const std::string_view word = spelling(at);
    if (!word.starts_with('"')) return to_lower(word);
    std::string name;
    for (size_t i = 1; i + 1 < word.size(); ++i) {
      if (word[i] == '"') ++i;
      name += word[i];
    }
    return name;
  }

  // At what may be a name, with its schema. A call is none, nor is what a further keyword announces.
  void take_name() {
    if (!is_word(at_)) return;
    const std::string first = name_at(at_);
    const bool is_keyword = tokens_[at_].kind == TokenKind::kWord && is_one_of(kBeforeRelation, first);
    if (is_keyword) return;
    const bool has_schema = spelling(at_ + 1) == "." && is_word(at_ + 2);
    const size_t name = has_schema ? at_ + 2 : at_;
    at_ = name + 1;
    if (has_schema && first != "public") return;
    if (spelling(at_) == "(" && !is_target(name)) return;
    names_.push_back(name_at(name));
  }

  // INSERT INTO t (column), COPY t (column): what the parenthesis holds are no arguments.
  bool is_target(size_t name) const {
    size_t before = name;
    while (before >= 2 && spelling(before - 1) == ".") before -= 2;
    return before > 0 && (mosaic::routing::is_keyword(spelling(before - 1), "into") ||
                          mosaic::routing::is_keyword(spelling(before - 1), "copy") ||
                          mosaic::routing::is_keyword(spelling(before - 1), "references"));
  }

  std::string_view text_;
  std::span<const Token> tokens_;
  size_t at_ = 0;
  std::vector<Level> levels_ = std::vector<Level>(1);
  std::vector<std::string> names_;
};

}  // namespace

std::vector<std::string> find_relation_words(std::string_view source) {
  Tokenizer tokenizer;
  if (!tokenizer.read(source)) return {};
  return Finder(source, tokenizer.tokens()).find();
}

}  // namespace mosaic::routing
