#pragma once
// How the control plane reaches a node, and whether it is the one that the configuration means.

#include <chrono>
#include <string>
#include <vector>

#include "admin/config/config.h"
#include "admin/postgres/connection.h"
#include "routing/result.h"

namespace mosaic::admin {

// Where `mosaic init` connects to on a node.
ConnectionTarget admin_target(const NodeConfig& node);

// As who reads the catalog; where that role can not log in, as who made the shards. `options`: PostgreSQL
// settings, as in ConnectionTarget.
routing::Result<Connection> connect_to_node(const Config& config, const NodeConfig& node,
                                            const WaitLimits& limits, const std::string& options = "");

// The users of database.application_users, with the passwords of auth.file, can log in to the node. Errors:
// the first who can not, and why.
routing::Status check_logins(const Config& config, const NodeConfig& node, const WaitLimits& limits);

// Nodes whose database says that it is another node, or another cluster's, one line each; all are asked at
// the same time. What can not be reached or read says nothing. `names`: which to ask.
std::vector<std::string> find_mistaken_nodes(const Config& config, const std::vector<std::string>& names,
                                             const std::string& cluster_id, std::chrono::milliseconds limit);

}  // namespace mosaic::admin
