#include "admin/console/views/view_builders.h"

namespace mosaic::admin {

namespace {

using proxy::TrafficReport;

void append_counters(ViewRow& cells, const TrafficReport& traffic) {
  for (const uint64_t value :
       {traffic.assignments, traffic.transactions, traffic.queries, traffic.bytes_received,
        traffic.bytes_sent, traffic.transaction_us, traffic.query_us, traffic.wait_us, traffic.client_parses,
        traffic.server_parses, traffic.binds})
    cells.push_back(cell(value));
}

ViewTable one_row(std::vector<ViewColumn> names, const std::string& database,
                  std::initializer_list<TrafficReport> parts) {
  ViewRow cells = row(database);
  for (const TrafficReport& part : parts) append_counters(cells, part);
  return {std::move(names), {std::move(cells)}};
}

struct Traffic {
  std::string database;
  TrafficReport total, average;
};

Traffic read_traffic(const ViewContext& context) {
  const TrafficReport total = sum_traffic(context.backend.report({}));
  return {context.backend.config()->proxy.database, total,
          context.state.averages.averages(total, TrafficAverages::Clock::now())};
}

}  // namespace

ViewTable show_stats(const ViewContext& context) {
  const Traffic traffic = read_traffic(context);
  return one_row(columns({"database",
                          "total_server_assignment_count#",
                          "total_xact_count#",
                          "total_query_count#",
                          "total_received#",
                          "total_sent#",
                          "total_xact_time#",
                          "total_query_time#",
                          "total_wait_time#",
                          "total_client_parse_count#",
                          "total_server_parse_count#",
                          "total_bind_count#",
                          "avg_server_assignment_count#",
                          "avg_xact_count#",
                          "avg_query_count#",
                          "avg_recv#",
                          "avg_sent#",
                          "avg_xact_time#",
                          "avg_query_time#",
                          "avg_wait_time#",
                          "avg_client_parse_count#",
                          "avg_server_parse_count#",
                          "avg_bind_count#"}),
                 traffic.database, {traffic.total, traffic.average});
}

ViewTable show_stats_totals(const ViewContext& context) {
  const Traffic traffic = read_traffic(context);
  return one_row(columns({"database", "server_assignment_count#", "xact_count#", "query_count#",
                          "bytes_received#", "bytes_sent#", "xact_time#", "query_time#", "wait_time#",
                          "client_parse_count#", "server_parse_count#", "bind_count#"}),
                 traffic.database, {traffic.total});
}

ViewTable show_stats_averages(const ViewContext& context) {
  const Traffic traffic = read_traffic(context);
  return one_row(columns({"database", "server_assignment_count#", "xact_count#", "query_count#",
                          "bytes_received#", "bytes_sent#", "xact_time#", "query_time#", "wait_time#",
                          "client_parse_count#", "server_parse_count#", "bind_count#"}),
                 traffic.database, {traffic.average});
}

}  // namespace mosaic::admin
