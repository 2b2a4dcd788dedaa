#include "admin/move/move_row.h"

#include <nlohmann/json.hpp>

#include "routing/sqlstate.h"

namespace mosaic::admin {

using nlohmann::json;

namespace {

MoveOptions::Verify verify_of(const std::string& text) {
  using Verify = MoveOptions::Verify;
  return text == "off" ? Verify::kOff : text == "sample" ? Verify::kSample : Verify::kFull;
}

json json_of(const MoveTable& table) {
  return {{"name", table.name},       {"bytes", table.bytes},         {"pages", table.pages},
          {"has_key", table.has_key}, {"is_binary", table.is_binary}, {"key", table.key}};
}

MoveTable table_of(const json& entry) {
  MoveTable table;
  table.name = entry.at("name");
  table.bytes = entry.at("bytes");
  table.pages = entry.at("pages");
  table.has_key = entry.at("has_key");
  table.is_binary = entry.at("is_binary");
  table.key = entry.at("key").get<std::vector<std::string>>();
  return table;
}

MoveOptions options_of(const json& document) {
  MoveOptions options;
  options.parallel = document.value("parallel", options.parallel);
  options.rate_bytes = document.value("rate_bytes", options.rate_bytes);
  options.soak_ms = document.value("soak_ms", options.soak_ms);
  options.verify = verify_of(document.value("verify", "full"));
  options.is_rehearsal = document.value("is_rehearsal", false);
  return options;
}

MoveFacts facts_of(const json& document) {
  MoveFacts facts;
  for (const json& entry : document.value("tables", json::array())) facts.tables.push_back(table_of(entry));
  facts.sequences = document.value("sequences", std::vector<std::string>());
  facts.post_data = document.value("post_data", "");
  facts.fingerprint = document.value("fingerprint", "");
  facts.grant_use = document.value("grant_use", "");
  facts.revoke_use = document.value("revoke_use", "");
  facts.grant_write = document.value("grant_write", "");
  facts.revoke_write = document.value("revoke_write", "");
  facts.grant_read = document.value("grant_read", "");
  facts.revoke_read = document.value("revoke_read", "");
  facts.switched_lsn = document.value("switched_lsn", "");
  facts.has_way_back = document.value("has_way_back", false);
  return facts;
}

MoveProgress progress_of(const json& document) {
  MoveProgress progress;
  const auto number = [&](const char* name) { return document.value(name, uint64_t{0}); };
  progress.rows = number("rows");
  progress.bytes = number("bytes");
  progress.bytes_total = number("bytes_total");
  progress.rate_bytes = number("rate_bytes");
  progress.marker_us = number("marker_us");
  progress.retained_wal_bytes = number("retained_wal_bytes");
  progress.write_pause_us = number("write_pause_us");
  progress.pause_us = document.value("pause_us", std::map<std::string, uint64_t>());
  progress.attempts = number("attempts");
  progress.read_pause_us = number("read_pause_us");
  progress.compared_rows = number("compared_rows");
  progress.warmed_bytes = number("warmed_bytes");
  progress.busy_buckets = number("busy_buckets");
  progress.differences = number("differences");
  progress.blockers = document.value("blockers", "");
  progress.phase_us = document.value("phase_us", std::map<std::string, uint64_t>());
  return progress;
}

}  // namespace

std::string_view to_text(MoveOptions::Verify verify) {
  switch (verify) {
    case MoveOptions::Verify::kOff:
      return "off";
    case MoveOptions::Verify::kSample:
      return "sample";
    case MoveOptions::Verify::kFull:
      break;
  }
  return "full";
}

std::string to_json(const proxy::MovingCounts& counts) {
  return json({{"held", counts.held},
               {"replayed", counts.replayed},
               {"refused", counts.refused},
               {"prepared", counts.prepared},
               {"longest_us", counts.longest_us}})
      .dump();
}

std::string to_json(const MoveOptions& options) {
  return json({{"parallel", options.parallel},
               {"rate_bytes", options.rate_bytes},
               {"soak_ms", options.soak_ms},
               {"verify", to_text(options.verify)},
               {"is_rehearsal", options.is_rehearsal}})
      .dump();
}

std::string to_json(const MoveFacts& facts) {
  json tables = json::array();
  for (const MoveTable& table : facts.tables) tables.push_back(json_of(table));
  return json({{"tables", std::move(tables)},
               {"sequences", facts.sequences},
               {"post_data", facts.post_data},
               {"fingerprint", facts.fingerprint},
               {"grant_use", facts.grant_use},
               {"revoke_use", facts.revoke_use},
               {"grant_write", facts.grant_write},
               {"revoke_write", facts.revoke_write},
               {"grant_read", facts.grant_read},
               {"revoke_read", facts.revoke_read},
               {"switched_lsn", facts.switched_lsn},
               {"has_way_back", facts.has_way_back}})
      .dump();
}

std::string to_json(const MoveProgress& progress) {
  return json({{"rows", progress.rows},
               {"bytes", progress.bytes},
               {"bytes_total", progress.bytes_total},
               {"rate_bytes", progress.rate_bytes},
               {"marker_us", progress.marker_us},
               {"retained_wal_bytes", progress.retained_wal_bytes},
               {"write_pause_us", progress.write_pause_us},
               {"pause_us", progress.pause_us},
               {"attempts", progress.attempts},
               {"read_pause_us", progress.read_pause_us},
               {"compared_rows", progress.compared_rows},
               {"warmed_bytes", progress.warmed_bytes},
               {"busy_buckets", progress.busy_buckets},
               {"differences", progress.differences},
               {"blockers", progress.blockers},
               {"phase_us", progress.phase_us}})
      .dump();
}

routing::Status read_counts(std::string_view text, proxy::MovingCounts& counts) {
  try {
    for (const json& of_proxy : json::parse(text)) {
      const auto number = [&](const char* name) { return of_proxy.value(name, uint64_t{0}); };
      counts +=
          {number("held"), number("replayed"), number("refused"), number("prepared"), number("longest_us")};
    }
    return {};
  } catch (const json::exception& error) {
    return routing::Error{routing::sqlstate::kConfigError, "unreadable counts in the catalog's moves",
                          error.what(), ""};
  }
}

routing::Status read_json(std::string_view options, std::string_view facts, std::string_view progress,
                          MoveRow& row) {
  try {
    row.options = options_of(json::parse(options));
    row.facts = facts_of(json::parse(facts));
    row.progress = progress_of(json::parse(progress));
    return {};
  } catch (const json::exception& error) {
    return routing::Error{routing::sqlstate::kConfigError, "unreadable row of the catalog's moves",
                          error.what(), ""};
  }
}

routing::Status read_names(std::string_view text, std::vector<std::string>& names) {
  try {
    names = json::parse(text).get<std::vector<std::string>>();
    return {};
  } catch (const json::exception& error) {
    return routing::Error{routing::sqlstate::kInternalError, "unreadable list of names", error.what(), ""};
  }
}

}  // namespace mosaic::admin
