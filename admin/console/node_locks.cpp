#include "admin/console/node_locks.h"

#include <algorithm>
#include <charconv>
#include <thread>

#include "admin/catalog/node_connection.h"
#include "admin/postgres/connection.h"
#include "routing/postgres/shape_use.h"
#include "routing/postgres/sql/tokenizer.h"

namespace mosaic::admin {

namespace {

using routing::Result;

constexpr size_t kLinesMax = 10'000;  // a tree in which many wait for many repeats itself

constexpr const char* kLocks =
    "WITH waiting AS (SELECT pid, pg_blocking_pids(pid) AS blockers FROM pg_stat_activity"
    " WHERE wait_event_type = 'Lock'),"
    " involved AS (SELECT pid FROM waiting UNION SELECT unnest(blockers) FROM waiting)"
    " SELECT i.pid, array_to_string(w.blockers, ','), a.usename, a.application_name, a.state,"
    " (extract(epoch FROM clock_timestamp() - l.waitstart) * 1000000)::bigint,"
    " (extract(epoch FROM clock_timestamp() - a.xact_start) * 1000000)::bigint,"
    " l.locktype || ' ' || l.mode || coalesce(' ' || l.relation::regclass::text, ''), left(a.query, 10000)"
    " FROM involved i LEFT JOIN pg_stat_activity a USING (pid) LEFT JOIN waiting w USING (pid)"
    " LEFT JOIN LATERAL (SELECT * FROM pg_locks WHERE pid = i.pid AND NOT granted LIMIT 1) l ON true"
    " ORDER BY i.pid";

std::vector<int> numbers_of(std::string_view list) {
  std::vector<int> numbers;
  while (!list.empty()) {
    int number = 0;
    const auto [end, error] = std::from_chars(list.data(), list.data() + list.size(), number);
    if (error != std::errc()) break;
    if (std::find(numbers.begin(), numbers.end(), number) == numbers.end()) numbers.push_back(number);
    list.remove_prefix(std::min(list.size(), static_cast<size_t>(end - list.data()) + 1));
  }
  return numbers;
}

// What is written in a statement is nobody's but its client's.
std::string without_literals(std::string_view statement) {
  routing::Tokenizer tokenizer;
  tokenizer.read(statement);
  return routing::normalised_shape(tokenizer.shape());
}

uint64_t microseconds(const Rows& rows, int row, int column) {
  return static_cast<uint64_t>(std::max<int64_t>(rows.integer(row, column), 0));
}

NodeLocks read_node(const Config& config, const NodeConfig& node, std::chrono::milliseconds limit) {
  NodeLocks locks;
  locks.node = node.address.name;
  const WaitLimits limits{.connect = limit, .query = limit};
  auto connection = connect_to_node(config, node, limits, "-c search_path=pg_catalog");
  auto rows = connection ? connection->query(kLocks) : Result<Rows>(connection.error());
  if (!rows) {
    locks.error = rows.error();
    return locks;
  }
  for (int row = 0; row < rows->count(); ++row) {
    LockedProcess& process = locks.processes.emplace_back();
    process.pid = static_cast<int>(rows->integer(row, 0));
    process.blockers = numbers_of(rows->text(row, 1));
    process.user = rows->text(row, 2);
    process.application_name = rows->text(row, 3);
    process.state = process.pid == 0 ? "prepared transaction" : std::string(rows->text(row, 4));
    process.wait_us = microseconds(*rows, row, 5);
    process.transaction_us = microseconds(*rows, row, 6);
    process.lock = rows->text(row, 7);
    process.statement = without_literals(rows->text(row, 8));
  }
  return locks;
}

class TreeBuilder {
 public:
  explicit TreeBuilder(const std::vector<LockedProcess>& processes)
      : processes_(processes), is_shown_(processes.size()), is_above_(processes.size()) {}

  std::vector<BlockingLine> build() {
    for (size_t i = 0; i < processes_.size(); ++i) {
      if (processes_[i].blockers.empty()) add(i, 0);
    }
    for (size_t i = 0; i < processes_.size(); ++i) {  // circles have no top of their own
      if (!is_shown_[i]) add(i, 0);
    }
    return std::move(lines_);
  }

 private:
  void add(size_t process, size_t depth) {
    if (lines_.size() >= kLinesMax) return;
    lines_.push_back({process, depth});
    is_shown_[process] = true;
    is_above_[process] = true;
    for (size_t i = 0; i < processes_.size(); ++i) {
      const auto& blockers = processes_[i].blockers;
      const bool waits =
          std::find(blockers.begin(), blockers.end(), processes_[process].pid) != blockers.end();
      if (waits && !is_above_[i]) add(i, depth + 1);
    }
    is_above_[process] = false;
  }

  const std::vector<LockedProcess>& processes_;
  std::vector<bool> is_shown_;
  std::vector<bool> is_above_;  // the line at hand: what waits for itself is not shown again
  std::vector<BlockingLine> lines_;
};

}  // namespace

std::vector<NodeLocks> read_locks(const Config& config, std::chrono::milliseconds limit) {
  std::vector<NodeLocks> locks(config.nodes.size());
  std::vector<std::thread> threads;
  for (size_t i = 0; i < locks.size(); ++i)
    threads.emplace_back([&, i] { locks[i] = read_node(config, config.nodes[i], limit); });
  for (std::thread& thread : threads) thread.join();
  return locks;
}

std::vector<BlockingLine> blocking_tree(const std::vector<LockedProcess>& processes) {
  return TreeBuilder(processes).build();
}

}  // namespace mosaic::admin
