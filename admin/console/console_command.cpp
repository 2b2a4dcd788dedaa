#include "admin/console/console_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <vector>

#include "routing/sqlstate.h"

namespace mosaic::admin {

namespace {

using routing::Error;
using routing::Result;
using routing::Status;
using Kind = ConsoleCommand::Kind;

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f'; }

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return result;
}

// Words, 'strings', "names" and single characters, one after the other.
class Words {
 public:
  explicit Words(std::string_view text) : text_(text) {}

  struct Word {
    std::string text;  // without quotes
    bool is_quoted = false;
  };

  // Nothing at the end.
  std::optional<Word> next() {
    skip_space();
    if (text_.empty()) return std::nullopt;
    const char first = text_.front();
    if (first == '\'' || first == '"') return take_quoted(first);
    if (!is_word_character(first)) return Word{take(1), false};
    size_t end = 0;
    while (end < text_.size() && is_word_character(text_[end])) ++end;
    return Word{take(end), false};
  }
  // The next word in lower case if it is not quoted, without taking it; empty at the end.
  std::string peek() const {
    Words copy = *this;
    const auto word = copy.next();
    return word && !word->is_quoted ? lower(word->text) : "";
  }
  bool take_keyword(std::string_view keyword) {
    if (peek() != keyword) return false;
    next();
    return true;
  }
  bool is_at_end() {
    skip_space();
    return text_.empty();
  }
  std::string_view rest() {
    skip_space();
    return text_;
  }

 private:
  static bool is_word_character(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.' || c == '-' ||
           (c & 0x80) != 0;
  }
  void skip_space() {
    while (!text_.empty() && is_space(text_.front())) text_.remove_prefix(1);
  }
  std::string take(size_t count) {
    std::string taken(text_.substr(0, count));
    text_.remove_prefix(count);
    return taken;
  }
  Word take_quoted(char mark) {
    Word word{"", true};
    text_.remove_prefix(1);
    while (!text_.empty()) {
      if (text_.front() == mark) {
        text_.remove_prefix(1);
        if (text_.empty() || text_.front() != mark) break;
      }
      word.text += text_.front();
      text_.remove_prefix(1);
    }
    return word;
  }

  std::string_view text_;
};

Error syntax_error(const std::string& message) {
  return Error{routing::sqlstate::kSyntaxError, message, "",
               "the console knows SHOW, EXPLAIN ROUTE, MOVE, DRAIN, REBALANCE, ADD NODE, REMOVE NODE, RELOAD "
               "and SHUTDOWN; "
               "SHOW HELP lists them"};
}

bool parse_number(const std::string& text, uint64_t& number) {
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && at == end;
}

Result<ConsoleCommand> parse_show(Words& words) {
  ConsoleCommand command{.kind = Kind::kShow};
  const auto view = words.next();
  if (!view) return syntax_error("SHOW needs the name of a view");
  command.view = lower(view->text);
  if (command.view == "move") {
    const auto number = words.next();
    if (!number || !parse_number(number->text, command.move.move) || !words.is_at_end())
      return syntax_error("expected SHOW MOVE number; SHOW MOVES lists them");
    return command;
  }
  if (words.take_keyword("where")) {
    const auto column = words.next();
    const bool has_equals = words.peek() == "=";
    if (has_equals) words.next();
    const auto value = words.next();
    if (!column || !has_equals || !value) return syntax_error("expected WHERE column = value");
    command.filter.where_column = column->text;
    command.filter.where_value = value->text;
  }
  if (words.take_keyword("order")) {
    const bool has_by = words.take_keyword("by");
    const auto column = words.next();
    if (!has_by || !column) return syntax_error("expected ORDER BY column");
    command.filter.order_column = column->text;
    if (words.take_keyword("desc")) {
      command.filter.is_descending = true;
    } else {
      words.take_keyword("asc");
    }
  }
  if (words.take_keyword("limit")) {
    const auto count = words.next();
    uint64_t limit = 0;
    if (!count) return syntax_error("expected LIMIT number");
    if (!parse_number(count->text, limit))
      return syntax_error("expected LIMIT number, got \"" + count->text + "\"");
    command.filter.limit = limit;
  }
  if (!words.is_at_end())
    return syntax_error("unexpected \"" + words.next()->text + "\" behind SHOW " + command.view);
  return command;
}

Result<ConsoleCommand> parse_shutdown(Words& words) {
  ConsoleCommand command{.kind = Kind::kShutdown};
  if (words.take_keyword("wait_for_servers"))
    command.kind = Kind::kShutdownServers;
  else if (words.take_keyword("wait_for_clients"))
    command.kind = Kind::kShutdownClients;
  if (!words.is_at_end())
    return syntax_error("expected SHUTDOWN, SHUTDOWN WAIT_FOR_SERVERS or SHUTDOWN WAIT_FOR_CLIENTS");
  return command;
}

Result<ConsoleCommand> parse_node_change(Words& words, bool is_removal) {
  const char* form = is_removal ? "expected REMOVE NODE name [DRY RUN]" : "expected ADD NODE name [DRY RUN]";
  ConsoleCommand command{.kind = Kind::kChangeNode};
  command.change.is_removal = is_removal;
  if (!words.take_keyword("node")) return syntax_error(form);
  const auto name = words.next();
  if (!name || name->text == "=") return syntax_error(form);
  command.change.node = name->text;
  if (words.take_keyword("dry")) {
    if (!words.take_keyword("run")) return syntax_error(form);
    command.change.is_dry_run = true;
  }
  if (!words.is_at_end()) return syntax_error(form);
  return command;
}

// "(option = value, ...)" behind WITH, or nothing.
Status parse_move_options(Words& words, MoveOptions& options) {
  if (!words.take_keyword("with")) return {};
  if (words.peek() != "(") return syntax_error("expected WITH (option = value, ...)");
  words.next();
  while (true) {
    const auto name = words.next();
    const bool has_equals = words.peek() == "=";
    if (has_equals) words.next();
    const auto value = words.next();
    if (!name || !has_equals || !value) return syntax_error("expected WITH (option = value, ...)");
    if (Status status =
            set_option(lower(name->text), value->is_quoted ? value->text : lower(value->text), options);
        !status)
      return status;
    const auto end = words.next();
    if (end && end->text == ")") return {};
    if (!end || end->text != ",") return syntax_error("expected WITH (option = value, ...)");
  }
}

// "1-20,40" comes as words and commas.
std::string take_list(Words& words) {
  std::string text;
  while (true) {
    const auto word = words.next();
    if (!word) return text;
    text += word->text;
    if (words.peek() != ",") return text;
    text += words.next()->text;
  }
}

Result<ConsoleCommand> parse_move(Words& words, MoveCommand::Kind kind) {
  const std::string form =
      fmt::format("expected {} SHARD number TO node [WITH (option = value, ...)]", to_text(kind));
  ConsoleCommand command{.kind = Kind::kMove};
  command.move.kind = kind;
  command.move.options.is_rehearsal = kind == MoveCommand::Kind::kRehearse;
  if (!words.take_keyword("shard") && !words.take_keyword("shards")) return syntax_error(form);
  auto shards = parse_numbers(take_list(words), "shards");
  if (!shards) return shards.error();
  for (const uint32_t shard : *shards) command.move.shards.push_back({shard});
  if (!words.take_keyword("to")) return syntax_error(form);
  const auto node = words.next();
  if (!node) return syntax_error(form);
  command.move.node = node->text;
  if (Status status = parse_move_options(words, command.move.options); !status) return status.error();
  if (!words.is_at_end()) return syntax_error(form);
  return command;
}

// What may stand behind DRAIN NODE name and REBALANCE, in any order.
Result<ConsoleCommand> parse_plan(Words& words, ConsoleCommand command, const char* form) {
  const bool is_rebalance = command.move.kind == MoveCommand::Kind::kRebalance;
  while (!words.is_at_end()) {
    if (words.take_keyword("dry")) {
      if (!words.take_keyword("run")) return syntax_error(form);
      command.move.is_dry_run = true;
    } else if (is_rebalance && words.take_keyword("by")) {
      const bool is_by_size = words.take_keyword("size");
      const bool is_by_heat = !is_by_size && words.take_keyword("heat");
      if (!is_by_size && !is_by_heat && !words.take_keyword("count")) return syntax_error(form);
      command.move.weight = is_by_size   ? MoveCommand::Weight::kSize
                            : is_by_heat ? MoveCommand::Weight::kHeat
                                         : MoveCommand::Weight::kCount;
    } else {
      const std::string word = lower(words.peek());
      if (word != "with") return syntax_error(form);
      if (Status status = parse_move_options(words, command.move.options); !status) return status.error();
    }
  }
  return command;
}

Result<ConsoleCommand> parse_drain(Words& words) {
  const char* form = "expected DRAIN NODE name [DRY RUN] [WITH (option = value, ...)]";
  ConsoleCommand command{.kind = Kind::kMove};
  command.move.kind = MoveCommand::Kind::kDrain;
  if (!words.take_keyword("node")) return syntax_error(form);
  const auto node = words.next();
  if (!node) return syntax_error(form);
  command.move.node = node->text;
  return parse_plan(words, std::move(command), form);
}

Result<ConsoleCommand> parse_rebalance(Words& words) {
  ConsoleCommand command{.kind = Kind::kMove};
  command.move.kind = MoveCommand::Kind::kRebalance;
  return parse_plan(words, std::move(command),
                    "expected REBALANCE [DRY RUN] [BY count | size | heat] [WITH (option = value, ...)]");
}

// WAIT MOVE 7, WAIT MOVES 1-20,40, WAIT MOVES.
Result<ConsoleCommand> parse_wait(Words& words) {
  const char* form = "expected WAIT MOVE number, WAIT MOVES 1-20,40 or WAIT MOVES";
  ConsoleCommand command{.kind = Kind::kMove};
  command.move.kind = MoveCommand::Kind::kWait;
  const bool is_one = words.take_keyword("move");
  if (!is_one && !words.take_keyword("moves")) return syntax_error(form);
  if (words.is_at_end() && !is_one) return command;
  auto moves = parse_numbers(take_list(words), "moves");
  if (!moves) return moves.error();
  if (!words.is_at_end()) return syntax_error(form);
  command.move.moves.assign(moves->begin(), moves->end());
  return command;
}

// PAUSE MOVE 7.
Result<ConsoleCommand> parse_move_change(Words& words, MoveCommand::Kind kind) {
  const std::string form = fmt::format("expected {} number", to_text(kind));
  ConsoleCommand command{.kind = Kind::kMove};
  command.move.kind = kind;
  const auto number = words.take_keyword("move") ? words.next() : std::nullopt;
  if (!number || !words.is_at_end()) return syntax_error(form);
  if (!parse_number(number->text, command.move.move)) return syntax_error(form);
  return command;
}

// What drivers say at connect. Anything else would be a setting of ours, and those come from the file.
Result<ConsoleCommand> parse_set(Words& words) {
  static constexpr std::string_view kAccepted[] = {
      "client_encoding",  "datestyle",          "timezone", "standard_conforming_strings",
      "application_name", "extra_float_digits", "session",  "time",
      "search_path"};
  const auto name = words.next();
  if (!name) return syntax_error("expected SET name = value");
  if (std::find(std::begin(kAccepted), std::end(kAccepted), lower(name->text)) == std::end(kAccepted))
    return Error{routing::sqlstate::kUndefinedObject, "\"" + name->text + "\" can not be set on the console",
                 "", "change the configuration file and RELOAD"};
  return ConsoleCommand{.kind = Kind::kIgnored, .tag = "SET"};
}

// Nothing: it is about something else.
std::optional<Result<ConsoleCommand>> parse_about_moves(Words& words, const std::string& verb) {
  if (verb == "move") return parse_move(words, MoveCommand::Kind::kMove);
  if (verb == "drain") return parse_drain(words);
  if (verb == "rebalance") return parse_rebalance(words);
  if (verb == "wait") return parse_wait(words);
  if (verb == "check" || verb == "rehearse") {
    const auto kind = verb == "check" ? MoveCommand::Kind::kCheck : MoveCommand::Kind::kRehearse;
    if (words.take_keyword("move")) return parse_move(words, kind);
    return Result<ConsoleCommand>(
        syntax_error(fmt::format("expected {} SHARD number TO node", to_text(kind))));
  }
  constexpr std::pair<std::string_view, MoveCommand::Kind> kVerbs[] = {
      {"pause", MoveCommand::Kind::kPause},
      {"resume", MoveCommand::Kind::kResume},
      {"cancel", MoveCommand::Kind::kCancel},
      {"undo", MoveCommand::Kind::kUndo},
      {"finish", MoveCommand::Kind::kFinish}};
  for (const auto& [name, kind] : kVerbs) {
    if (verb == name) return parse_move_change(words, kind);
  }
  return std::nullopt;
}

std::string_view without_end(std::string_view text) {
  while (!text.empty() && (is_space(text.back()) || text.back() == ';')) text.remove_suffix(1);
  return text;
}

}  // namespace

Result<ConsoleCommand> parse_console_command(std::string_view text) {
  Words words(without_end(text));
  const auto first = words.next();
  if (!first) return ConsoleCommand{};
  const std::string verb = lower(first->text);
  if (verb == "show") return parse_show(words);
  if (verb == "set") return parse_set(words);
  if (verb == "shutdown") return parse_shutdown(words);
  if (verb == "add" || verb == "remove") return parse_node_change(words, verb == "remove");
  if (auto move = parse_about_moves(words, verb)) {
    if (*move) (*move)->statement = without_end(text);
    return std::move(*move);
  }
  if (verb == "explain") {
    if (!words.take_keyword("route") || words.is_at_end())
      return syntax_error("expected EXPLAIN ROUTE statement");
    return ConsoleCommand{.kind = Kind::kExplainRoute, .statement = std::string(words.rest())};
  }
  if (verb == "begin" || verb == "commit" || verb == "rollback") {
    std::string tag = verb;
    std::transform(tag.begin(), tag.end(), tag.begin(),
                   [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    return ConsoleCommand{.kind = Kind::kIgnored, .tag = tag};
  }
  if (verb == "reload" && words.is_at_end()) return ConsoleCommand{.kind = Kind::kReload};
  return syntax_error("unknown console command \"" + first->text + "\"");
}

routing::Status apply_filter(const ViewFilter& filter, ViewTable& table) {
  const auto column_of = [&](const std::string& name) -> Result<size_t> {
    if (const int at = table.find_column(name); at >= 0) return static_cast<size_t>(at);
    std::string known;
    for (const ViewColumn& column : table.columns)
      known += (known.empty() ? "" : ", ") + std::string(column.name);
    return Error{routing::sqlstate::kUndefinedObject, "the view has no column \"" + name + "\"", "",
                 "its columns are " + known};
  };
  if (!filter.where_column.empty()) {
    const auto column = column_of(filter.where_column);
    if (!column) return column.error();
    std::erase_if(table.rows, [&](const ViewRow& row) { return row[*column] != filter.where_value; });
  }
  if (!filter.order_column.empty()) {
    const auto column = column_of(filter.order_column);
    if (!column) return column.error();
    const bool is_number = table.columns[*column].is_number;
    const auto is_before = [&](const ViewRow& left, const ViewRow& right) {
      const ViewCell &a = left[*column], &b = right[*column];
      if (!a || !b) return !a && b.has_value();
      // Decimal numbers without leading zeros: the longer one is the greater.
      if (is_number && a->size() != b->size()) return a->size() < b->size();
      return *a < *b;
    };
    std::stable_sort(table.rows.begin(), table.rows.end(), [&](const ViewRow& left, const ViewRow& right) {
      return filter.is_descending ? is_before(right, left) : is_before(left, right);
    });
  }
  if (filter.limit && *filter.limit < table.rows.size()) table.rows.resize(*filter.limit);
  return {};
}

}  // namespace mosaic::admin
