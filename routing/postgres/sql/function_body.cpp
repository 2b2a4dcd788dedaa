#include "routing/postgres/sql/function_body.h"

#include <algorithm>
#include <span>

#include "routing/postgres/sql/keyword.h"
#include "routing/postgres/sql/known_functions.h"
#include "routing/postgres/sql/sorted_words.h"
#include "routing/postgres/sql/tokenizer.h"

namespace mosaic::routing {

namespace {

// clang-format off
// Words of SQL and PL/pgSQL that a parenthesis may follow without a call, and types with a modifier. Sorted.
constexpr std::string_view kNoCalls[] = {
    "all", "and", "any", "array", "as", "assert", "atomic", "begin", "between", "by", "call", "case", "cast",
    "character", "check", "coalesce", "collate", "conflict", "constraint", "cube", "current_time",
    "current_timestamp", "cursor", "dec", "decimal", "default", "delete", "distinct", "do", "else", "elseif",
    "elsif", "end", "escape", "except", "exception", "excluded", "exists", "fetch", "filter", "float", "for",
    "foreach", "from", "generated", "greatest", "group", "grouping", "groups", "having", "identity", "if", "ilike",
    "in", "insert", "intersect", "into", "is", "key", "lateral", "least", "like", "limit", "localtime",
    "localtimestamp", "loop", "materialized", "national", "nchar", "next", "not", "nothing", "notice", "nullif", "of",
    "offset", "on", "only", "open", "or", "over", "partition", "perform", "precision", "primary", "query", "raise",
    "range", "recursive", "references", "return", "returning", "reverse", "rollup", "row", "rows", "select", "set",
    "sets", "similar", "slice", "some", "strict", "then", "to", "trim", "union", "unique", "update", "using",
    "values", "varying", "when", "where", "while", "window", "with", "within", "xmlattributes", "xmlconcat",
    "xmlelement", "xmlforest", "xmlparse", "xmlpi", "xmlroot", "xmlserialize", "xmltable", "zone"};

// Words that begin what changes the session, runs text that is not there to be read, or defines things: any
// use of them counts. Sorted.
constexpr std::string_view kDoubtful[] = {"alter", "create", "deallocate", "discard", "drop", "execute", "hold",
    "import", "listen", "load", "pg_temp", "prepare", "reset", "temp", "temporary", "unlisten"};
// clang-format on

class Reader {
 public:
  Reader(std::string_view text, std::span<const Token> tokens) : text_(text), tokens_(tokens) {}

  FunctionBody read() {
    for (at_ = 0; at_ < tokens_.size(); ++at_) {
      const Token& token = tokens_[at_];
      if (token.kind == TokenKind::kOperator) {
        body_.words.emplace_back(spelling(at_));
      } else if (token.kind == TokenKind::kQuotedWord) {
        read_name(unquoted(spelling(at_)));
      } else if (token.kind == TokenKind::kWord) {
        read_word(to_lower(spelling(at_)));
      } else if (spelling(at_) == ";") {
        updates_ = 0;
      }
    }
    return std::move(body_);
  }

 private:
  std::string_view spelling(size_t at) const {
    return at < tokens_.size() ? text_.substr(tokens_[at].begin, tokens_[at].end - tokens_[at].begin)
                               : std::string_view();
  }
  bool is_at(size_t at, std::string_view keyword) const { return is_keyword(spelling(at), keyword); }
  void doubt() { body_.own.add(Trace::kUnknown); }

  std::string unquoted(std::string_view word) {
    if (!word.starts_with('"')) {
      doubt();  // U&"...": nobody writes it
      return {};
    }
    std::string name;
    for (size_t i = 1; i + 1 < word.size(); ++i) {
      if (word[i] == '"') ++i;
      name += word[i];
    }
    return name;
  }

  void read_word(const std::string& word) {
    // Behind a dot no word is a keyword: new.temp is a column.
    if (at_ > 0 && spelling(at_ - 1) == ".") return read_name(word);
    if (word == "update") {
      ++updates_;
      if (is_at(at_ + 1, "pg_settings") || is_at(at_ + 3, "pg_settings")) doubt();
    } else if (word == "then" || word == "loop" || word == "else" || word == "begin") {
      updates_ = 0;  // a statement may begin here
    } else if (word == "set") {
      read_set();
    } else if (word == "do") {
      // ON CONFLICT DO NOTHING, DO UPDATE; rules: DO INSTEAD, DO ALSO. Else a block of its own.
      const bool is_clause = is_at(at_ + 1, "nothing") || is_at(at_ + 1, "update") ||
                             is_at(at_ + 1, "instead") || is_at(at_ + 1, "also");
      if (!is_clause) doubt();
    } else if (is_one_of(kDoubtful, word)) {
      doubt();
    }
    read_name(word);
  }

  // UPDATE t SET ..., SET LOCAL, SET CONSTRAINTS and SET TRANSACTION end with their statement or transaction.
  void read_set() {
    const bool is_transaction_local =
        (is_at(at_ + 1, "local") && !is_at(at_ + 2, "=") && !is_at(at_ + 2, "to")) ||
        is_at(at_ + 1, "constraints") || is_at(at_ + 1, "transaction");
    if (updates_ == 0 && !is_transaction_local) doubt();
  }

  void read_name(const std::string& name) {
    body_.words.push_back(name);
    if (spelling(at_ + 1) != "(" || is_declared_here()) return;
    const bool is_plain_word = tokens_[at_].kind == TokenKind::kWord && spelling(at_ - 1) != ".";
    if (is_plain_word && is_one_of(kNoCalls, name)) return;
    switch (const FunctionTrait trait = find_function_trait(name)) {
      case FunctionTrait::kUnknown:
        body_.calls.push_back(name);
        break;
      case FunctionTrait::kSetting:
        if (!is_last_argument_true()) doubt();
        break;
      default:
        body_.own.add(traces_inside_of_function(trait));
    }
  }

  // The columns of what is named, not arguments: INSERT INTO a.t (x), WITH t (x) AS, AS t (x).
  bool is_declared_here() const {
    size_t before = at_;
    while (before >= 2 && spelling(before - 1) == ".") before -= 2;
    if (before == 0) return false;
    return is_at(before - 1, "into") || is_at(before - 1, "as") || is_at(before - 1, "with") ||
           is_at(before - 1, "recursive");
  }

  // set_config(name, value, true), the call's name being at at_.
  bool is_last_argument_true() const {
    size_t depth = 0;
    for (size_t at = at_ + 1; at < tokens_.size(); ++at) {
      if (spelling(at) == "(") ++depth;
      if (spelling(at) == ")" && --depth == 0)
        return is_at(at - 1, "true") && (spelling(at - 2) == "," || spelling(at - 2) == "=>");
    }
    return false;
  }

  std::string_view text_;
  std::span<const Token> tokens_;
  size_t at_ = 0;
  int updates_ = 0;  // UPDATEs seen since a statement may have begun
  FunctionBody body_;
};

void make_unique(std::vector<std::string>& names) {
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
}

}  // namespace

FunctionBody read_function_body(std::string_view source) {
  Tokenizer tokenizer;
  if (!tokenizer.read(source)) return {{Trace::kUnknown}, {}, {}};
  FunctionBody body = Reader(source, tokenizer.tokens()).read();
  make_unique(body.calls);
  make_unique(body.words);
  return body;
}

}  // namespace mosaic::routing
