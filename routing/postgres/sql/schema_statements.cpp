#include "routing/postgres/sql/schema_statements.h"

#include <fmt/format.h>
#include <pg_query.h>
#include <pg_query/pg_query.pb-c.h>

#include <algorithm>
#include <memory>

#include "routing/sqlstate.h"

namespace mosaic::routing {

namespace {

using Kind = SchemaStatement::Kind;

struct ParseGuard {
  explicit ParseGuard(const std::string& text) : result(pg_query_parse_protobuf(text.c_str())) {
    if (result.error != nullptr) return;
    tree = pg_query__parse_result__unpack(nullptr, result.parse_tree.len,
                                          reinterpret_cast<const uint8_t*>(result.parse_tree.data));
  }
  ~ParseGuard() {
    if (tree != nullptr) pg_query__parse_result__free_unpacked(tree, nullptr);
    pg_query_free_protobuf_parse_result(result);
  }
  ParseGuard(const ParseGuard&) = delete;
  ParseGuard& operator=(const ParseGuard&) = delete;
  PgQueryProtobufParseResult result;
  PgQuery__ParseResult* tree = nullptr;
};

uint32_t line_at(std::string_view text, size_t offset) {
  return static_cast<uint32_t>(
      1 + std::count(text.begin(), text.begin() + static_cast<long>(std::min(offset, text.size())), '\n'));
}

// The parser counts white space and comments before a statement as its own.
size_t skip_blank(std::string_view text, size_t at) {
  while (at < text.size()) {
    if (std::string_view(" \t\r\n\f").find(text[at]) != std::string_view::npos) {
      ++at;
    } else if (text.substr(at, 2) == "--") {
      at = std::min(text.find('\n', at), text.size());
    } else if (text.substr(at, 2) == "/*") {
      int depth = 0;
      do {
        if (text.substr(at, 2) == "/*") {
          ++depth;
          at += 2;
        } else if (text.substr(at, 2) == "*/") {
          --depth;
          at += 2;
        } else
          ++at;
      } while (depth > 0 && at < text.size());
    } else {
      break;
    }
  }
  return std::min(at, text.size());
}

// Visits every RangeVar below `message` by protobuf's own description of the tree: a schema file may name
// relations anywhere (foreign keys, INHERITS, LIKE, views).
template <typename Visit>
void for_each_range(const ProtobufCMessage* message, const Visit& visit) {
  if (message == nullptr) return;
  if (message->descriptor == &pg_query__range_var__descriptor) {
    visit(*reinterpret_cast<const PgQuery__RangeVar*>(message));
    return;
  }
  const auto* base = reinterpret_cast<const char*>(message);
  for (unsigned i = 0; i < message->descriptor->n_fields; ++i) {
    const ProtobufCFieldDescriptor& field = message->descriptor->fields[i];
    if (field.type != PROTOBUF_C_TYPE_MESSAGE) continue;
    const char* member = base + field.offset;
    if (field.label == PROTOBUF_C_LABEL_REPEATED) {
      const size_t count = *reinterpret_cast<const size_t*>(base + field.quantifier_offset);
      auto* const* children = *reinterpret_cast<ProtobufCMessage* const* const*>(member);
      for (size_t k = 0; k < count; ++k) for_each_range(children[k], visit);
      continue;
    }
    const bool is_one_of = (field.flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
    if (is_one_of && *reinterpret_cast<const uint32_t*>(base + field.quantifier_offset) != field.id) continue;
    for_each_range(*reinterpret_cast<ProtobufCMessage* const*>(member), visit);
  }
}

// The strings of a List node: a possibly qualified name.
std::vector<std::string> names_of(const PgQuery__Node* node) {
  std::vector<std::string> names;
  if (node == nullptr || node->node_case != PG_QUERY__NODE__NODE_LIST) return names;
  for (size_t i = 0; i < node->list->n_items; ++i) {
    if (node->list->items[i]->node_case == PG_QUERY__NODE__NODE_STRING)
      names.emplace_back(node->list->items[i]->string->sval);
  }
  return names;
}

class Classifier {
 public:
  explicit Classifier(SchemaStatement& out) : out_(out) {}

  void classify(const PgQuery__Node& node) {
    collect_relations(node);
    classify_kind(node);
    if (is_qualified_ && out_.kind != Kind::kRefused)
      refuse(is_public_ ? "leave \"public.\" out: the statement is applied to every shard's schema, where "
                          "the rows live, "
                          "and to public, where the table stands empty for drivers that look it up"
                        : "names must be without a schema: Mosaic decides in which schemas a table lives");
  }

 private:
  void collect_relations(const PgQuery__Node& node) {
    for_each_range(&node.base, [this](const PgQuery__RangeVar& range) {
      if (range.schemaname != nullptr && range.schemaname[0] != '\0') is_qualified_ = true;
      if (range.schemaname != nullptr && range.schemaname == std::string_view("public")) is_public_ = true;
      add_relation(range.relname);
    });
  }
  void add_relation(const std::string& name) {
    if (std::find(out_.relations.begin(), out_.relations.end(), name) == out_.relations.end())
      out_.relations.push_back(name);
  }
  void set(Kind kind, const PgQuery__RangeVar* relation) {
    if (relation == nullptr) return refuse("it names no table");
    out_.kind = kind;
    out_.subject = relation->relname;
  }
  void set(Kind kind, const std::string& subject) {
    out_.kind = kind;
    out_.subject = subject;
    add_relation(subject);
  }
  void refuse(std::string why) {
    out_.kind = Kind::kRefused;
    out_.refusal = std::move(why);
  }

  void classify_kind(const PgQuery__Node& node) {
    switch (node.node_case) {
      case PG_QUERY__NODE__NODE_CREATE_STMT:
        return create_table(*node.create_stmt);
      case PG_QUERY__NODE__NODE_INDEX_STMT:
        if (node.index_stmt->concurrent)
          return refuse(
              "CONCURRENTLY can not run in a transaction, as each shard's part does; leave it out (while a "
              "shard's index is built, writers of that shard wait)");
        out_.created = node.index_stmt->idxname;
        return set(Kind::kStructure, node.index_stmt->relation);
      case PG_QUERY__NODE__NODE_ALTER_TABLE_STMT:
        return set(Kind::kStructure, node.alter_table_stmt->relation);
      case PG_QUERY__NODE__NODE_ALTER_SEQ_STMT:
        return set(Kind::kStructure, node.alter_seq_stmt->sequence);
      case PG_QUERY__NODE__NODE_RENAME_STMT:
        if (node.rename_stmt->rename_type != PG_QUERY__OBJECT_TYPE__OBJECT_COLUMN)
          return refuse(
              "of RENAME, a schema file takes RENAME COLUMN: other names are in the configuration, too");
        return set(Kind::kStructure, node.rename_stmt->relation);
      case PG_QUERY__NODE__NODE_DROP_STMT:
        return drop(*node.drop_stmt);
      case PG_QUERY__NODE__NODE_CREATE_STATS_STMT:
        return create_statistics(*node.create_stats_stmt);
      case PG_QUERY__NODE__NODE_CREATE_SEQ_STMT:
        return create_sequence(*node.create_seq_stmt);
      case PG_QUERY__NODE__NODE_COMMENT_STMT:
        return comment(*node.comment_stmt);
      case PG_QUERY__NODE__NODE_CREATE_TRIG_STMT:
        return set(Kind::kBehaviour, node.create_trig_stmt->relation);
      case PG_QUERY__NODE__NODE_CREATE_POLICY_STMT:
        return set(Kind::kBehaviour, node.create_policy_stmt->table);
      case PG_QUERY__NODE__NODE_RULE_STMT:
        return set(Kind::kBehaviour, node.rule_stmt->relation);
      case PG_QUERY__NODE__NODE_GRANT_STMT:
        return grant(*node.grant_stmt);
      case PG_QUERY__NODE__NODE_INSERT_STMT:
        return set(Kind::kRows, node.insert_stmt->relation);
      case PG_QUERY__NODE__NODE_VIEW_STMT:
        set(Kind::kView, node.view_stmt->view);
        out_.created = out_.subject;
        return;
      case PG_QUERY__NODE__NODE_CREATE_EXTENSION_STMT:
      case PG_QUERY__NODE__NODE_COMPOSITE_TYPE_STMT:
      case PG_QUERY__NODE__NODE_CREATE_ENUM_STMT:
      case PG_QUERY__NODE__NODE_CREATE_RANGE_STMT:
      case PG_QUERY__NODE__NODE_CREATE_DOMAIN_STMT:
      case PG_QUERY__NODE__NODE_CREATE_FUNCTION_STMT:
      case PG_QUERY__NODE__NODE_CREATE_CAST_STMT:
      case PG_QUERY__NODE__NODE_DEFINE_STMT:
      case PG_QUERY__NODE__NODE_ALTER_ENUM_STMT:
      case PG_QUERY__NODE__NODE_ALTER_DOMAIN_STMT:
        out_.kind = Kind::kEverywhere;
        return;
      case PG_QUERY__NODE__NODE_TRANSACTION_STMT:
        return refuse(
            "leave BEGIN and COMMIT out: each shard gets the whole file in a transaction of its own");
      case PG_QUERY__NODE__NODE_CREATE_SCHEMA_STMT:
        return refuse("Mosaic makes the schemas, one per shard; leave it out");
      case PG_QUERY__NODE__NODE_VARIABLE_SET_STMT:
        return refuse("settings do not last from one shard to the next; leave SET out");
      case PG_QUERY__NODE__NODE_CREATE_ROLE_STMT:
        return refuse("roles belong to a server, not to a schema: create them on each node yourself");
      default:
        return refuse(
            "expected CREATE TABLE, INDEX, TYPE, DOMAIN, EXTENSION, FUNCTION, VIEW, TRIGGER, POLICY, "
            "SEQUENCE ... "
            "OWNED BY, ALTER TABLE, COMMENT ON, GRANT ON or INSERT");
    }
  }

  void create_table(const PgQuery__CreateStmt& create) {
    if (create.relation->relpersistence[0] == 't') return refuse("a temporary table would be gone at once");
    out_.is_create_table = true;
    out_.created = create.relation->relname;
    const bool is_partition = create.partbound != nullptr && create.n_inh_relations == 1;
    set(Kind::kStructure, is_partition ? create.inh_relations[0]->range_var : create.relation);
  }

  // What an earlier line of the file made. Tables stay: no run of init may lose rows.
  void drop(const PgQuery__DropStmt& drop) {
    const bool is_index = drop.remove_type == PG_QUERY__OBJECT_TYPE__OBJECT_INDEX;
    const bool is_part = drop.remove_type == PG_QUERY__OBJECT_TYPE__OBJECT_TRIGGER ||
                         drop.remove_type == PG_QUERY__OBJECT_TYPE__OBJECT_POLICY;
    if (!is_index && !is_part)
      return refuse("of DROP, a schema file takes DROP INDEX, DROP TRIGGER and DROP POLICY");
    if (drop.concurrent || drop.n_objects != 1)
      return refuse("drop one thing with each statement, without CONCURRENTLY");
    std::vector<std::string> names = names_of(drop.objects[0]);
    if (is_part && !names.empty()) names.pop_back();
    if (names.empty()) return refuse("it names no table");
    if (names.size() > 1) is_qualified_ = true;
    if (is_index) out_.dropped = names.back();
    set(is_index ? Kind::kStructure : Kind::kBehaviour, names.back());
  }

  void create_statistics(const PgQuery__CreateStatsStmt& create) {
    const bool has_table =
        create.n_relations == 1 && create.relations[0]->node_case == PG_QUERY__NODE__NODE_RANGE_VAR;
    set(Kind::kStructure, has_table ? create.relations[0]->range_var : nullptr);
  }

  void create_sequence(const PgQuery__CreateSeqStmt& create) {
    for (size_t i = 0; i < create.n_options; ++i) {
      const PgQuery__Node* option = create.options[i];
      if (option->node_case != PG_QUERY__NODE__NODE_DEF_ELEM ||
          std::string_view(option->def_elem->defname) != "owned_by")
        continue;
      const std::vector<std::string> owner = names_of(option->def_elem->arg);
      if (owner.size() != 2) break;
      out_.created = create.sequence->relname;
      return set(Kind::kStructure, owner[0]);
    }
    refuse(
        "a sequence of its own has no place: add OWNED BY table.column, or use next_id(), which is unique "
        "over all shards");
  }

  void comment(const PgQuery__CommentStmt& comment) {
    std::vector<std::string> names = names_of(comment.object);
    switch (comment.objtype) {
      case PG_QUERY__OBJECT_TYPE__OBJECT_COLUMN:
      case PG_QUERY__OBJECT_TYPE__OBJECT_TABCONSTRAINT:
      case PG_QUERY__OBJECT_TYPE__OBJECT_TRIGGER:
      case PG_QUERY__OBJECT_TYPE__OBJECT_POLICY:
      case PG_QUERY__OBJECT_TYPE__OBJECT_RULE:
        if (!names.empty()) names.pop_back();
        break;
      case PG_QUERY__OBJECT_TYPE__OBJECT_TABLE:
      case PG_QUERY__OBJECT_TYPE__OBJECT_INDEX:
      case PG_QUERY__OBJECT_TYPE__OBJECT_SEQUENCE:
      case PG_QUERY__OBJECT_TYPE__OBJECT_VIEW:
        break;
      default:
        out_.kind = Kind::kEverywhere;
        return;
    }
    if (names.size() > 1) is_qualified_ = true;
    if (names.empty()) return refuse("it names no table");
    const bool is_behaviour = comment.objtype == PG_QUERY__OBJECT_TYPE__OBJECT_TRIGGER ||
                              comment.objtype == PG_QUERY__OBJECT_TYPE__OBJECT_POLICY ||
                              comment.objtype == PG_QUERY__OBJECT_TYPE__OBJECT_RULE;
    set(is_behaviour ? Kind::kBehaviour : Kind::kStructure, names.back());
  }

  void grant(const PgQuery__GrantStmt& grant) {
    const bool is_named =
        grant.targtype == PG_QUERY__GRANT_TARGET_TYPE__ACL_TARGET_OBJECT && grant.n_objects > 0;
    if (is_named && grant.objects[0]->node_case == PG_QUERY__NODE__NODE_RANGE_VAR)
      return set(Kind::kBehaviour, grant.objects[0]->range_var);
    const bool is_everywhere = grant.objtype == PG_QUERY__OBJECT_TYPE__OBJECT_FUNCTION ||
                               grant.objtype == PG_QUERY__OBJECT_TYPE__OBJECT_TYPE ||
                               grant.objtype == PG_QUERY__OBJECT_TYPE__OBJECT_DOMAIN;
    if (!is_named || !is_everywhere)
      return refuse("grant on tables, functions or types by name; schemas are Mosaic's affair");
    out_.kind = Kind::kEverywhere;
  }

  SchemaStatement& out_;
  bool is_qualified_ = false;
  bool is_public_ = false;
};

}  // namespace

Result<std::vector<SchemaStatement>> read_schema(std::string_view text) {
  // The parser reads up to a zero byte.
  if (text.find('\0') != std::string_view::npos)
    return Error{sqlstate::kSyntaxError,
                 fmt::format("line {}: a zero byte in the schema file", line_at(text, text.find('\0'))), "",
                 ""};
  const std::string copy(text);
  const ParseGuard parsed(copy);
  if (parsed.result.error != nullptr) {
    const int cursor = std::max(parsed.result.error->cursorpos, 1);
    std::string hint;
    if (text.starts_with('\\') || text.find("\n\\") != std::string_view::npos)
      hint = "lines that begin with a backslash are psql's own commands; the schema file is plain SQL";
    return Error{sqlstate::kSyntaxError,
                 fmt::format("line {}: {}", line_at(text, static_cast<size_t>(cursor - 1)),
                             parsed.result.error->message),
                 "", hint};
  }
  if (parsed.tree == nullptr)
    return Error{sqlstate::kInternalError, "the parser's tree can not be read", "", ""};
  std::vector<SchemaStatement> statements;
  for (size_t i = 0; i < parsed.tree->n_stmts; ++i) {
    const PgQuery__RawStmt& raw = *parsed.tree->stmts[i];
    const auto begin = static_cast<size_t>(std::max(raw.stmt_location, 0));
    const size_t end = raw.stmt_len > 0 ? begin + static_cast<size_t>(raw.stmt_len) : text.size();
    const size_t first = skip_blank(text, begin);
    SchemaStatement statement;
    std::string_view words = text.substr(first, end - first);
    while (!words.empty() && std::string_view(" \t\r\n;").find(words.back()) != std::string_view::npos)
      words.remove_suffix(1);
    statement.text = words;
    statement.line = line_at(text, first);
    Classifier(statement).classify(*raw.stmt);
    statements.push_back(std::move(statement));
  }
  return statements;
}

}  // namespace mosaic::routing
