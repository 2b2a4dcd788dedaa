#include "admin/init/schema_plan.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <map>
#include <set>

namespace mosaic::admin {

namespace {

using routing::SchemaStatement;
using Kind = SchemaStatement::Kind;

// Grows when init itself creates other things from the same file (next_id(), twins ...).
constexpr int kScriptVersion = 2;

struct RelationPlace {
  Place place = Place::kOneNode;
  std::string node;
  bool operator==(const RelationPlace&) const = default;
};

std::string first_line(const std::string& text) {
  constexpr size_t kShownBytes = 70;
  std::string line = text.substr(0, text.find('\n'));
  if (line.size() > kShownBytes) line = line.substr(0, kShownBytes);
  return line.size() < text.size() ? line + " ..." : line;
}

std::string digest_of(const std::vector<PlacedStatement>& statements, uint32_t last_step,
                      const Config& config) {
  const routing::IdLayout& id = config.shards.id_layout;
  std::string all =
      fmt::format("{}\x1f{}\x1f{}\x1f{}\x1e", kScriptVersion, id.shard_bits, id.sequence_bits, id.epoch_ms);
  for (const PlacedStatement& placed : statements) {
    if (placed.step <= last_step) all += placed.statement.text + '\x1e';
  }
  const XXH128_hash_t hash = XXH3_128bits(all.data(), all.size());
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

class Planner {
 public:
  Planner(const Config& config, ConfigErrors& errors) : config_(config), errors_(errors) {
    for (const TableConfig& table : config.tables) {
      places_[table.name] = !table.key.empty()   ? RelationPlace{Place::kShards, ""}
                            : table.is_reference ? RelationPlace{Place::kEveryNode, ""}
                                                 : RelationPlace{Place::kOneNode, table.node};
    }
  }

  SchemaPlan plan(const std::vector<SchemaStatement>& statements) {
    for (const SchemaStatement& statement : statements) place(statement);
    for (const TableConfig& table : config_.tables) {
      if (!created_.contains(table.name)) plan_.uncreated_tables.push_back(table.name);
      if (!table.key.empty()) plan_.sharded_tables.push_back(table.name);
      if (table.is_reference) plan_.reference_tables.push_back(table.name);
      if (!table.node.empty()) plan_.single_tables.emplace_back(table.name, table.node);
    }
    for (const std::string& table : plan_.default_tables)
      plan_.single_tables.emplace_back(table, places_[table].node);
    plan_.digests = {digest_of(plan_.statements, 0, config_)};
    return std::move(plan_);
  }

 private:
  void add_error(const SchemaStatement& statement, const std::string& why) {
    errors_.add({statement.line, 1}, fmt::format("{}: {}", first_line(statement.text), why));
  }

  void place(const SchemaStatement& statement) {
    switch (statement.kind) {
      case Kind::kRefused:
        return add_error(statement, statement.refusal);
      case Kind::kEverywhere:
        return add(statement, {Place::kEveryNode, ""});
      case Kind::kView:
        return place_view(statement);
      case Kind::kStructure:
      case Kind::kBehaviour:
      case Kind::kRows:
        break;
    }
    const bool is_new_table = statement.is_create_table && statement.subject == statement.created;
    if (is_new_table && !places_.contains(statement.subject)) {
      places_[statement.subject] = {Place::kOneNode, config_.default_node};
      plan_.default_tables.push_back(statement.subject);
    }
    const auto at = places_.find(statement.subject);
    const bool is_known = at != places_.end() && (is_new_table || created_.contains(statement.subject));
    if (!is_known)
      return add_error(statement, fmt::format("\"{}\" is not created before this line", statement.subject));
    const RelationPlace where = at->second;
    if (statement.kind == Kind::kRows && where.place == Place::kShards)
      return add_error(statement, "rows of a sharded table depend on their key; insert them through Mosaic");
    if (!statement.created.empty() && !create(statement, where)) return;
    if (!statement.dropped.empty()) created_.erase(statement.dropped);
    check_references(statement, where);
    add(statement, where);
  }

  bool create(const SchemaStatement& statement, const RelationPlace& where) {
    if (!created_.insert(statement.created).second) {
      add_error(statement, fmt::format("\"{}\" is created twice", statement.created));
      return false;
    }
    const auto listed = places_.find(statement.created);
    if (listed != places_.end() && !(listed->second == where))
      add_error(
          statement,
          fmt::format("\"{}\" is placed by its parent \"{}\"; take [tables.{}] out of the configuration",
                      statement.created, statement.subject, statement.created));
    places_.emplace(statement.created, where);
    return true;
  }

  // A view lives where all that it reads is.
  void place_view(const SchemaStatement& statement) {
    RelationPlace where{Place::kEveryNode, ""};
    for (const std::string& name : statement.relations) {
      const auto at = places_.find(name);
      if (at == places_.end() || name == statement.created) continue;
      if (at->second.place == Place::kShards)
        return add_error(
            statement,
            fmt::format("\"{}\" is sharded, and a view does not tell the shard; query the table", name));
      if (at->second.place == Place::kOneNode) where = at->second;
    }
    if (!create(statement, where)) return;
    check_references(statement, where);
    add(statement, where);
  }

  void check_references(const SchemaStatement& statement, const RelationPlace& where) {
    for (const std::string& name : statement.relations) {
      const auto at = places_.find(name);
      if (at == places_.end() || at->second == where || at->second.place == Place::kEveryNode) continue;
      add_error(statement,
                fmt::format("\"{}\" ({}) is not where \"{}\" ({}) is; both must be in the same place, or the "
                            "other a reference table",
                            name, describe(at->second), statement.subject, describe(where)));
    }
  }

  std::string describe(const RelationPlace& where) const {
    switch (where.place) {
      case Place::kShards:
        return "sharded";
      case Place::kEveryNode:
        return "on every node";
      case Place::kOneNode:
        return "on node " + where.node;
    }
    return "";
  }

  void add(const SchemaStatement& statement, const RelationPlace& where) {
    plan_.statements.push_back({statement, where.place, where.node});
  }

  const Config& config_;
  ConfigErrors& errors_;
  std::map<std::string, RelationPlace> places_;  // of tables, and of the indexes and sequences made on them
  std::set<std::string> created_;
  SchemaPlan plan_;
};

}  // namespace

SchemaPlan plan_schema(const std::vector<SchemaStatement>& statements, const Config& config,
                       ConfigErrors& errors) {
  return Planner(config, errors).plan(statements);
}

std::optional<uint32_t> SchemaPlan::step_of(std::string_view digest) const {
  const auto at = std::find(digests.begin(), digests.end(), digest);
  if (at == digests.end()) return std::nullopt;
  return static_cast<uint32_t>(at - digests.begin());
}

bool SchemaPlan::creates(const std::string& table, std::optional<uint32_t> behind) const {
  return std::any_of(statements.begin(), statements.end(), [&](const PlacedStatement& placed) {
    return placed.statement.is_create_table && placed.statement.created == table &&
           (!behind || placed.step > *behind);
  });
}

std::vector<std::string> continue_plan(SchemaPlan& plan, const std::vector<AppliedStatement>& applied,
                                       const Config& config) {
  std::vector<PlacedStatement> rest = std::move(plan.statements);
  plan.statements.clear();
  std::vector<std::string> lines;
  uint32_t last_step = 0;
  for (const AppliedStatement& known : applied) {
    last_step = std::max(last_step, known.step);
    const auto at = std::find_if(rest.begin(), rest.end(), [&](const PlacedStatement& placed) {
      return placed.statement.text == known.text;
    });
    if (at == rest.end()) {
      lines.push_back("applied, but not in the file now: " + first_line(known.text));
      continue;
    }
    at->step = known.step;
    plan.statements.push_back(std::move(*at));
    rest.erase(at);
  }
  if (!rest.empty()) ++last_step;
  for (PlacedStatement& placed : rest) {
    placed.step = last_step;
    if (!lines.empty())
      lines.push_back(fmt::format("line {}: new or changed: {}", placed.statement.line,
                                  first_line(placed.statement.text)));
    plan.statements.push_back(std::move(placed));
  }
  plan.digests.clear();
  for (uint32_t step = 0; step <= last_step; ++step)
    plan.digests.push_back(digest_of(plan.statements, step, config));
  return lines;
}

}  // namespace mosaic::admin
