#include "bench/turns/plan.h"

#include <fmt/format.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace mosaic::turns {

namespace {

using nlohmann::json;

Protocol protocol_of(const std::string& name) {
  if (name == "simple") return Protocol::kSimple;
  if (name == "extended") return Protocol::kExtended;
  if (name == "prepared") return Protocol::kPrepared;
  throw std::runtime_error(fmt::format("protocol \"{}\": expected simple, extended or prepared", name));
}

Database database_of(const json& value) {
  Database database{value.at("name"), {}};
  for (const json& table : value.at("tables")) {
    database.tables.push_back({table.at("name"), table.at("keys")});
    if (database.tables.back().keys.empty())
      throw std::runtime_error(fmt::format("table \"{}\" has no keys", database.tables.back().name));
  }
  if (database.tables.empty())
    throw std::runtime_error(fmt::format("database \"{}\" has no tables", database.name));
  return database;
}

Target target_of(const json& value) {
  Target target{value.at("name"), protocol_of(value.at("protocol")),
                value.at("port"), value.at("user"),
                value.at("pid"),  {}};
  for (const json& database : value.at("databases")) target.databases.push_back(database_of(database));
  if (target.databases.empty())
    throw std::runtime_error(fmt::format("target \"{}\" has no databases", target.name));
  return target;
}

}  // namespace

Plan read_plan(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error(fmt::format("cannot read {}", path));
  try {
    const json value = json::parse(file);
    Plan plan;
    plan.clients = value.at("clients");
    plan.rounds = value.at("rounds");
    plan.settle_s = value.at("settle_s");
    plan.warm_up_s = value.at("warm_up_s");
    plan.window_s = value.at("window_s");
    plan.seed = value.at("seed");
    for (const json& target : value.at("targets")) plan.targets.push_back(target_of(target));
    if (plan.clients == 0 || plan.rounds == 0 || plan.targets.empty() || !(plan.window_s > 0))
      throw std::runtime_error("clients, rounds, window_s and targets must not be 0 or empty");
    return plan;
  } catch (const std::exception& problem) {
    throw std::runtime_error(fmt::format("{}: {}", path, problem.what()));
  }
}

}  // namespace mosaic::turns
