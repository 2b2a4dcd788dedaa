#include <fmt/chrono.h>
#include <fmt/format.h>

#include <ctime>

#include "admin/config/config_keys.h"
#include "admin/console/views/view_builders.h"
#include "admin/version.h"

namespace mosaic::admin {

namespace {

// Keys that PgBouncer has too keep its flat names; the others are told with their section.
std::string shown_name(const std::string& full_name) {
  for (const std::string section : {"pool.", "limits."}) {
    if (full_name.starts_with(section)) return full_name.substr(section.size());
  }
  return full_name;
}

}  // namespace

ViewTable show_version(const ViewContext&) {
  return {columns({"version"}), {row("Mosaic " + mosaic_version())}};
}

ViewTable show_config(const ViewContext& context) {
  const auto config = context.backend.config();
  ViewTable table{columns({"key", "value", "default", "changeable"}), {}};
  for (const auto& [name, value] : config->values) {
    const ConfigKey* key = find_config_key_of(name);
    if (key == nullptr) continue;
    const bool has_default = key->default_toml != kRequired && key->default_toml != kNoDefault;
    table.rows.push_back(row(shown_name(name), plain(value),
                             has_default ? plain(std::string(key->default_toml)) : "",
                             key->is_reloadable ? "yes" : "no"));
  }
  return table;
}

ViewTable show_events(const ViewContext& context) {
  ViewTable table{columns({"time", "level", "event", "text"}), {}};
  for (const KeptEvent& event : context.backend.events->kept())
    table.rows.push_back(row(fmt::format("{:%Y-%m-%d %H:%M:%S}.{:03} UTC",
                                         fmt::gmtime(static_cast<std::time_t>(event.unix_us / 1'000'000)),
                                         event.unix_us / 1000 % 1000),
                             name_of(event.severity), event.name, event.text));
  return table;
}

ViewTable show_state(const ViewContext& context) {
  const CatalogStatus status = context.backend.catalog_status();
  ViewTable table{columns({"key", "value"}), {}};
  table.rows = {row("active", "yes"),
                row("paused", "no"),
                row("suspended", "no"),
                row("catalog_connected", status.is_connected ? "yes" : "no"),
                row("catalog_error", status.last_error),
                row("map_epoch", std::to_string(context.backend.catalog()->epoch().value))};
  return table;
}

ViewTable show_help(const ViewContext&) {
  ViewTable table{columns({"command", "purpose"}), {}};
  for (const View& view : views()) {
    std::string name = "SHOW ";
    for (const char c : view.name) name += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    table.rows.push_back(row(name, view.purpose));
  }
  table.rows.push_back(
      row("SHOW view [WHERE column = value] [ORDER BY column [DESC]] [LIMIT n]", "a part of a view"));
  table.rows.push_back(row("EXPLAIN ROUTE statement", "where a statement would go, and why"));
  table.rows.push_back(row("MOVE SHARD n | SHARDS 1-20,40 TO node [WITH (parallel, rate, soak, verify)]",
                           "move shards while they are used; returns at once"));
  table.rows.push_back(
      row("CHECK MOVE SHARD n TO node", "what keeps a shard from being moved, and what to type"));
  table.rows.push_back(
      row("REHEARSE MOVE SHARD n TO node", "a move without the switch: how long writes would pause"));
  table.rows.push_back(row("DRAIN NODE name [DRY RUN]", "move all of its shards to the other nodes"));
  table.rows.push_back(row("REBALANCE [DRY RUN] [BY count | size | heat]",
                           "move shards until nodes have as many, as much, or as much work"));
  table.rows.push_back(
      row("PAUSE | RESUME | CANCEL | UNDO | FINISH MOVE n",
          "UNDO: back, with what was written since; FINISH: no longer wait whether to undo"));
  table.rows.push_back(row("WAIT MOVE n | MOVES [1-20,40]", "tells what happens until they are through"));
  table.rows.push_back(row("SHOW MOVE n", "all that is known of a move"));
  table.rows.push_back(row("ADD NODE name [DRY RUN]",
                           "prepare a node of the configuration file and take it into use, on all proxies"));
  table.rows.push_back(
      row("REMOVE NODE name [DRY RUN]", "take a node out of use on which nothing is, on all proxies"));
  table.rows.push_back(row("RELOAD", "read the configuration and auth files again"));
  table.rows.push_back(row("SHUTDOWN [WAIT_FOR_SERVERS | WAIT_FOR_CLIENTS]",
                           "stop at once, after transactions, or after clients"));
  return table;
}

}  // namespace mosaic::admin
