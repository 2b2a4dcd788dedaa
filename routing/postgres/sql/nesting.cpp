#include "routing/postgres/sql/nesting.h"

#include <algorithm>
#include <array>
#include <vector>

#include "routing/postgres/sql/keyword.h"

namespace mosaic::routing {

namespace {

// After these words the grammar starts a new branch of the tree next to the one before, not below it: AND and
// OR lists are flat, and so are a statement's clauses and the WHENs of a CASE.
bool is_branch_word(std::string_view word) {
  for (const std::string_view keyword :
       {"and", "or", "when", "then", "else", "select", "from", "where", "group", "having", "order", "limit",
        "offset", "on", "returning", "set", "values"}) {
    if (is_keyword(word, keyword)) return true;
  }
  return false;
}

// These build left-deep chains across branches: each is one level for all that follows in the same
// parentheses.
bool is_chain_word(std::string_view word) {
  return is_keyword(word, "join") || is_keyword(word, "union") || is_keyword(word, "intersect") ||
         is_keyword(word, "except");
}

class NestingEstimate {
 public:
  void open(char bracket) {
    add_token();
    below_ += branch_ + chain_;
    levels_.push_back({bracket, branch_, chain_});
    ++open_of(bracket);
    branch_ = chain_ = 0;
  }
  void close(char bracket) {
    // A wrong bracket is a syntax error for the parser to find; unwinding keeps the estimate an upper bound.
    if (open_of(bracket) == 0) return add_token();
    while (true) {
      const Level level = levels_.back();
      levels_.pop_back();
      --open_of(level.bracket);
      branch_ = level.branch;
      chain_ = level.chain;
      below_ -= branch_ + chain_;
      if (level.bracket == bracket) break;
    }
  }
  void add_token() {
    ++branch_;
    note();
  }
  void add_chain_link() {
    ++chain_;
    note();
  }
  void start_branch() { branch_ = 0; }
  void start_statement() {
    branch_ = chain_ = below_ = 0;
    levels_.clear();
    open_ = {};
  }
  uint32_t max() const { return max_; }

 private:
  struct Level {
    char bracket;
    uint32_t branch;
    uint32_t chain;
  };
  void note() { max_ = std::max(max_, below_ + branch_ + chain_); }
  uint32_t& open_of(char bracket) { return open_[bracket == '(' ? 0 : bracket == '[' ? 1 : 2]; }

  std::vector<Level> levels_;
  std::array<uint32_t, 3> open_{};  // how many of each bracket are in levels_
  uint32_t branch_ = 0;             // tokens of the current branch
  uint32_t chain_ = 0;              // joins and set operations in the current brackets
  uint32_t below_ = 0;              // the same of all enclosing brackets
  uint32_t max_ = 0;
};

}  // namespace

uint32_t estimate_nesting(std::string_view text, std::span<const Token> tokens) {
  NestingEstimate estimate;
  for (const Token& token : tokens) {
    if (estimate.max() > kNestingMax) break;
    const std::string_view word = text.substr(token.begin, token.end - token.begin);
    if (token.kind == TokenKind::kPunctuation) {
      switch (word.front()) {
        case '(':
        case '[':
          estimate.open(word.front());
          continue;
        case ')':
          estimate.close('(');
          continue;
        case ']':
          estimate.close('[');
          continue;
        case ',':
          estimate.start_branch();
          continue;
        case ';':
          estimate.start_statement();
          continue;
        default:
          break;
      }
    } else if (token.kind == TokenKind::kWord) {
      if (is_keyword(word, "case")) {
        estimate.open('c');
        continue;
      }
      if (is_keyword(word, "end")) {
        estimate.close('c');
        continue;
      }
      if (is_chain_word(word)) estimate.add_chain_link();
      if (is_branch_word(word)) estimate.start_branch();
    }
    estimate.add_token();
  }
  return estimate.max();
}

}  // namespace mosaic::routing
