#include "routing/postgres/route.h"

#include <fmt/format.h>

#include <algorithm>

#include "routing/postgres/key_evaluation.h"
#include "routing/postgres/route_checks.h"
#include "routing/postgres/route_errors.h"
#include "routing/postgres/router.h"
#include "routing/sqlstate.h"

namespace mosaic::routing {

namespace {

struct HintedShard {
  ShardId shard;
  Route::Reason reason;
};

// Decides one part. All inputs are views; lives for one call of route().
class PartRouter {
 public:
  PartRouter(const StatementPart& part, const KeyInput& input, const Hint& comment_hint,
             const Hint& setting_hint, NodeId anywhere)
      : part_(part),
        input_(input),
        catalog_(input.catalog),
        hint_(comment_hint.kind != Hint::Kind::kNone ? comment_hint : setting_hint),
        hint_reason_(comment_hint.kind != Hint::Kind::kNone ? Route::Reason::kCommentHint
                                                            : Route::Reason::kSettingHint),
        anywhere_(anywhere) {}

  Result<Route> route() {
    if (part_.refusal) return *part_.refusal;
    if (part_.kind == StatementKind::kDeallocate && !part_.name.empty()) return unknown_prepared(part_);
    if (part_.one_node_only && catalog_.count_nodes_in_use() > 1) return *part_.one_node_only;
    switch (part_.placement) {
      case Placement::kAnywhere:
        if (part_.setting && part_.setting->value_parameter) {
          if (auto error = find_bound_value_error(*part_.setting, input_.parameters))
            return std::move(*error);
        }
        return follows_comment() ? route_by_hint() : to_any_node(Route::Reason::kNoTable);
      case Placement::kReference:
        return follows_comment() ? route_by_hint() : to_any_node(Route::Reason::kReferenceRead);
      case Placement::kAllNodes:
        return to_node(catalog_.default_node(), Route::Reason::kDefaultNode);
      case Placement::kPinned:
        return route_pinned();
      case Placement::kDefault:
        if (part_.prepare || part_.execute) return unknown_prepared(part_);
        if (part_.follows_hint && hint_.kind != Hint::Kind::kNone) return route_by_hint();
        // A catalog read. Within a transaction its own node's catalog is the one that describes its rows.
        if (part_.is_free)
          return follows_comment() ? route_by_hint() : to_any_node(Route::Reason::kCatalogRead);
        return to_node(catalog_.default_node(), Route::Reason::kDefaultNode);
      case Placement::kSharded:
        return route_sharded();
    }
    return to_any_node(Route::Reason::kNoTable);
  }

 private:
  // What one use's terms amount to.
  struct UseShards {
    enum class Kind : uint8_t { kOne, kMany, kNoRow, kContradiction } kind = Kind::kNoRow;
    ShardId shard;  // kOne; for the others: where to ask in vain
    bool has_shard = false;
    ShardId other;  // kContradiction: what `shard` contradicts
    bool is_by_id = false;
    const KeyTerm* many = nullptr;  // kMany: the term that spans several shards
  };

  Route make(Route::Target target, Route::Reason reason) const {
    Route route;
    route.target = target;
    route.reason = reason;
    route.is_read = part_.is_read;
    return route;
  }
  Route to_any_node(Route::Reason reason) const {
    Route route = make(Route::Target::kAnyNode, reason);
    route.node = anywhere_;
    return route;
  }
  Route to_node(NodeId node, Route::Reason reason) const {
    Route route = make(Route::Target::kNode, reason);
    route.node = node;
    return route;
  }
  Route to_shard(ShardId shard, Route::Reason reason) const {
    Route route = make(Route::Target::kShard, reason);
    route.shard = shard;
    route.node = catalog_.node_of(shard);
    return route;
  }

  // A comment was written for this very statement; a setting is for those that need it.
  bool follows_comment() const {
    return part_.kind == StatementKind::kQuery && hint_.kind != Hint::Kind::kNone &&
           hint_reason_ == Route::Reason::kCommentHint;
  }

  KeyType hint_type() const {
    if (!part_.uses.empty()) return catalog_.tables()[part_.uses.front().table].key_type;
    const auto sharded = std::find_if(catalog_.tables().begin(), catalog_.tables().end(),
                                      [](const Table& table) { return table.kind == TableKind::kSharded; });
    return sharded == catalog_.tables().end() ? KeyType::kInt8 : sharded->key_type;
  }

  Result<Route> route_by_hint() const {
    // A setting's value was converted when it was set.
    const bool is_of_text = hint_reason_ == Route::Reason::kCommentHint;
    const auto shard =
        shard_of_hint(hint_, hint_type(), catalog_, is_of_text ? input_.encoding : ClientEncoding::kUtf8);
    if (!shard) return shard.error();
    return to_shard(*shard, hint_reason_);
  }

  Result<Route> route_pinned() const {
    const NodeId node = catalog_.tables()[part_.pinned_table].node;
    if (part_.uses_default_node && node != catalog_.default_node()) return pinned_elsewhere(part_, catalog_);
    return to_node(node, Route::Reason::kPinnedTable);
  }

  Result<Route> route_sharded() {
    auto decided = hint_.kind == Hint::Kind::kNone ? route_by_terms() : route_by_hint_and_terms();
    if (!decided) return decided;
    for (const TableUse& use : part_.uses) {
      for (const KeyTerm& check : use.checks) {
        if (auto error = find_check_error(use, check, decided->shard)) return std::move(*error);
      }
    }
    return decided;
  }

  Result<Route> route_by_terms() {
    if (part_.uses.empty()) return no_shard_for_next_id(catalog_);
    const TableUse* decider = nullptr;
    Route::Reason reason = Route::Reason::kKey;
    ShardId target;
    std::optional<UseShards> in_vain;
    for (const TableUse& use : part_.uses) {
      if (use.repeats) continue;
      if (use.terms.empty()) return no_shard_key(part_, use, catalog_);
      const auto shards = evaluate(use);
      if (!shards) return shards.error();
      switch (shards->kind) {
        case UseShards::Kind::kOne:
          if (decider != nullptr && target != shards->shard) {
            return shards_differ(*decider, target, use, shards->shard, catalog_);
          }
          decider = &use;
          target = shards->shard;
          reason = shards->is_by_id ? Route::Reason::kId : Route::Reason::kKey;
          break;
        case UseShards::Kind::kMany:
          return many_shards(use, *shards->many, input_);
        case UseShards::Kind::kContradiction:
          if (!part_.is_read) return key_conflict(use, shards->shard, shards->other, catalog_);
          if (!in_vain) in_vain = *shards;
          break;
        case UseShards::Kind::kNoRow:
          if (!in_vain || !in_vain->has_shard) in_vain = *shards;
          break;
      }
    }
    // No row can match: every shard gives the same empty result, in the right shape.
    if (decider == nullptr && in_vain) {
      target = in_vain->shard;
      reason = in_vain->is_by_id ? Route::Reason::kId : Route::Reason::kKey;
    }
    return to_shard(target, reason);
  }

  Result<Route> route_by_hint_and_terms() {
    auto hinted = route_by_hint();
    if (!hinted) return hinted;
    for (const TableUse& use : part_.uses) {
      if (use.repeats || use.terms.empty()) continue;
      const auto shards = evaluate(use);
      if (!shards) return shards.error();
      bool is_elsewhere = shards->kind == UseShards::Kind::kOne && shards->shard != hinted->shard;
      if (shards->kind == UseShards::Kind::kMany) {
        // The hint is one more condition: it may pick one of the shards.
        if (shards->many->is_every) return many_shards(use, *shards->many, input_);
        for (const KeyTerm& term : use.terms) {
          const auto is_inside = has_shard(term, hinted->shard, input_);
          if (!is_inside) return is_inside.error();
          is_elsewhere |= !*is_inside;
        }
      }
      if (part_.is_read) continue;
      if (is_elsewhere) return hint_conflict(use, shards->shard, hinted->shard, catalog_);
      if (shards->kind == UseShards::Kind::kContradiction) {
        return key_conflict(use, shards->shard, shards->other, catalog_);
      }
    }
    return hinted;
  }

  Result<UseShards> evaluate(const TableUse& use) const {
    UseShards result;
    bool has_no_row = false;
    bool is_contradiction = false;
    size_t many_terms = 0;
    for (const KeyTerm& term : use.terms) {
      const auto shards = evaluate_term(term, input_);
      if (!shards) return shards.error();
      if (term.is_every && shards->has_null) return null_value(use, term, catalog_);
      if (!shards->first) {
        has_no_row = true;
        if (!result.has_shard) result.is_by_id = term.is_id;
      } else if (shards->second) {
        ++many_terms;
        if (result.many == nullptr) result.many = &term;
        if (term.is_every) {
          result.kind = UseShards::Kind::kMany;
          result.shard = *shards->first;
          return result;
        }
      } else if (!result.has_shard) {
        result.has_shard = true;
        result.shard = *shards->first;
        result.is_by_id = term.is_id;
      } else if (result.shard != *shards->first && !is_contradiction) {
        is_contradiction = true;
        result.other = *shards->first;
      }
    }
    if (has_no_row) {
      result.kind = UseShards::Kind::kNoRow;
    } else if (is_contradiction) {
      result.kind = UseShards::Kind::kContradiction;
    } else if (many_terms == 0) {
      result.kind = UseShards::Kind::kOne;
    } else {
      return intersect(use, result, many_terms);
    }
    return result;
  }

  // Terms of several shards, together with the one shard of all others if there is one.
  Result<UseShards> intersect(const TableUse& use, UseShards result, size_t many_terms) const {
    if (result.has_shard) {
      result.kind = UseShards::Kind::kOne;
      for (const KeyTerm& term : use.terms) {
        const auto is_inside = has_shard(term, result.shard, input_);
        if (!is_inside) return is_inside.error();
        if (*is_inside) continue;
        result.kind = UseShards::Kind::kContradiction;
        const auto elsewhere = evaluate_term(term, input_);
        if (elsewhere && elsewhere->first) result.other = *elsewhere->first;
      }
      return result;
    }
    auto common = all_shards(*result.many, input_);
    if (!common) return common.error();
    const ShardId first = common->front();
    const ShardId last = common->back();
    for (const KeyTerm& term : use.terms) {
      if (many_terms == 1 || &term == result.many) continue;
      std::erase_if(*common, [&](ShardId shard) {
        const auto is_inside = has_shard(term, shard, input_);
        return is_inside && !*is_inside;
      });
    }
    result.shard = common->empty() ? first : common->front();
    result.has_shard = true;
    result.other = last;
    result.kind = common->empty()       ? UseShards::Kind::kContradiction
                  : common->size() == 1 ? UseShards::Kind::kOne
                                        : UseShards::Kind::kMany;
    return result;
  }

  std::optional<Error> find_check_error(const TableUse& use, const KeyTerm& check, ShardId shard) const {
    const auto values = evaluate_term(check, input_);
    if (!values) return values.error();
    if (values->has_foreign_id) return foreign_id(use, catalog_);
    // An INSERT's NULL ID is for the server to refuse; an UPDATE must not take a row's key away.
    if (values->has_null && !check.is_every) return null_value(use, check, catalog_);
    if (values->second || (values->first && *values->first != shard))
      return value_elsewhere(use, check, shard, input_);
    return std::nullopt;
  }

  const StatementPart& part_;
  const KeyInput& input_;
  const CatalogSnapshot& catalog_;
  const Hint& hint_;
  Route::Reason hint_reason_;
  NodeId anywhere_;
};

// a; b; c: one implicit transaction, so one node.
Result<Route> route_parts(const StatementPlan& plan, const KeyInput& input, const Hint& comment_hint,
                          const Hint& setting_hint, NodeId anywhere) {
  Route together;
  together.node = anywhere;
  together.is_read = true;
  together.part_shards.resize(plan.parts.size());
  std::optional<size_t> decider;
  for (size_t i = 0; i < plan.parts.size(); ++i) {
    const auto route = PartRouter(plan.parts[i], input, comment_hint, setting_hint, anywhere).route();
    if (!route) return route.error();
    together.is_read &= route->is_read;
    if (route->target == Route::Target::kAnyNode) continue;
    if (decider && together.node != route->node) {
      return parts_differ(*decider, together.node, i, route->node, input.catalog);
    }
    if (route->target == Route::Target::kShard) {
      if (together.target != Route::Target::kShard) together.shard = route->shard;
      together.part_shards[i] = route->shard;
    }
    if (together.target != Route::Target::kShard) together.target = route->target;
    together.reason = decider ? Route::Reason::kAgreedParts : route->reason;
    together.node = route->node;
    if (!decider) decider = i;
  }
  return together;
}

}  // namespace

Result<ShardId> shard_of_hint(const Hint& hint, KeyType key_type, const CatalogSnapshot& catalog,
                              ClientEncoding encoding) {
  if (hint.kind == Hint::Kind::kShard) {
    const auto number = parse_key_text(KeyType::kInt8, hint.value);
    if (!number || number->integer < 0 || number->integer >= static_cast<int64_t>(catalog.shard_count())) {
      return Error{sqlstate::kInvalidParameter,
                   fmt::format("there is no shard \"{}\"", hint.value.substr(0, 64)),
                   fmt::format("Shards are numbered 0 to {}.", catalog.shard_count() - 1),
                   "Write a number: /* mosaic shard=42 */ or SET mosaic.shard = 42."};
    }
    return ShardId{static_cast<uint32_t>(number->integer)};
  }
  std::string scratch;
  const auto value =
      is_text(key_type) ? to_utf8(encoding, hint.value, scratch) : Result<std::string_view>(hint.value);
  if (!value) return value.error();
  const auto key = parse_key_text(key_type, *value);
  if (!key) return key.error();
  return shard_of(catalog.shard_function(), *key, catalog.shard_count());
}

Result<Route> route(const AnalyzedStatement& statement, const Parameters& parameters,
                    const Hint& setting_hint, const CatalogSnapshot& catalog, NodeId anywhere,
                    ClientEncoding encoding) {
  if (encoding != ClientEncoding::kUtf8) {
    if (auto error = find_encoding_error(statement, encoding, catalog)) return std::move(*error);
  }
  const KeyInput input{statement.text, statement.tokens, parameters, catalog, statement.reading, encoding};
  const std::vector<StatementPart>& parts = statement.plan->parts;
  if (parts.size() == 1) {
    return PartRouter(parts.front(), input, statement.comment_hint, setting_hint, anywhere).route();
  }
  return route_parts(*statement.plan, input, statement.comment_hint, setting_hint, anywhere);
}

std::string_view to_text(Route::Reason reason) {
  switch (reason) {
    case Route::Reason::kKey:
      return "by key";
    case Route::Reason::kId:
      return "by ID";
    case Route::Reason::kCommentHint:
      return "by hint in a comment";
    case Route::Reason::kSettingHint:
      return "by hint in a setting";
    case Route::Reason::kPinnedTable:
      return "pinned table";
    case Route::Reason::kDefaultNode:
      return "default node";
    case Route::Reason::kReferenceRead:
      return "reference table";
    case Route::Reason::kCatalogRead:
      return "PostgreSQL's catalog";
    case Route::Reason::kNoTable:
      return "no table";
    case Route::Reason::kAgreedParts:
      return "all statements agree";
  }
  return "";
}

std::string Route::to_text(const CatalogSnapshot& catalog) const {
  const std::string_view why = routing::to_text(reason);
  switch (target) {
    case Target::kShard:
      return fmt::format("shard {} ({}) on node {}, {}", shard.value, catalog.schema_of(shard),
                         catalog.node_name(node), why);
    case Target::kNode:
      return fmt::format("node {}, {}", catalog.node_name(node), why);
    case Target::kAnyNode:
      return fmt::format("any node, {}", why);
  }
  return "";
}

}  // namespace mosaic::routing
