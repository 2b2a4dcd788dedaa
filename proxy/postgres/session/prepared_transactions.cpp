// COMMIT PREPARED, ROLLBACK PREPARED: the node that has the transaction is found by asking all of them.

#include <fmt/format.h>

#include "proxy/postgres/session/session.h"
#include "routing/sqlstate.h"

namespace mosaic::proxy {

using routing::Error;
using routing::NodeId;
using routing::Route;
namespace sqlstate = routing::sqlstate;

bool Session::ends_prepared_transaction(const routing::AnalyzedStatement& statement) const {
  if (statement.plan->is_plain) return false;
  const auto& parts = statement.plan->parts;
  return parts.size() == 1 && parts[0].kind == routing::StatementKind::kPrepareTransaction &&
         parts[0].placement == routing::Placement::kDefault && !leg_.is_held() && !transaction_.is_open() &&
         catalog().count_nodes_in_use() > 1;
}

void Session::search_prepared_transaction(const routing::AnalyzedStatement& statement) {
  const routing::Token& gid = statement.tokens[statement.plan->parts[0].last_token - 1];
  waiting_.searched.assign(statement.text.substr(gid.begin, gid.end - gid.begin));
  waiting_.phase_before_search = phase_;
  waiting_.found.clear();
  waiting_.attempts = 0;
  waiting_.phase_after = Phase::kSearching;
  outbox_.lease_request = LeaseRequest{*catalog().next_node_in_use(NodeId{0}), std::nullopt};
  enter(Phase::kWaiting);
}

void Session::ask_for_prepared_transaction() {
  waiting_.own_error.reset();
  waiting_.answer.clear();
  leg_.send_own_query(Purpose::kSearch,
                      fmt::format("SELECT pg_catalog.count(*) FROM pg_catalog.pg_prepared_xacts WHERE "
                                  "database = pg_catalog.current_database() AND gid = {}",
                                  waiting_.searched));
}

void Session::on_search_answer() {
  const NodeId node = leg_.node();
  if (waiting_.own_error) {
    const Error error = *std::exchange(waiting_.own_error, nullptr);
    end_lease(LeaseEnd::kReturn);
    go_on_without_server(error);
    return;
  }
  if (waiting_.answer == "1") waiting_.found.push_back(node);
  end_lease(LeaseEnd::kReturn);
  if (const auto next = catalog().next_node_in_use(NodeId{static_cast<uint16_t>(node.value + 1)})) {
    outbox_.lease_request = LeaseRequest{*next, std::nullopt};
    enter(Phase::kWaiting);
    return;
  }
  if (waiting_.found.size() > 1) {
    go_on_without_server(Error{
        sqlstate::kManyNodes, "more than one node has a prepared transaction of this name",
        fmt::format("node \"{}\" and node \"{}\"", catalog().node_name(waiting_.found[0]),
                    catalog().node_name(waiting_.found[1])),
        "end it on each node directly, and give prepared transactions names that are unique in the cluster"});
    return;
  }
  // No node: the default node says so.
  Route route;
  route.target = Route::Target::kNode;
  route.node = waiting_.found.empty() ? catalog().default_node() : waiting_.found[0];
  waiting_.route = route;
  enter(waiting_.phase_before_search);
}

}  // namespace mosaic::proxy
