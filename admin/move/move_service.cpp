#include "admin/move/move_service.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "routing/catalog_snapshot.h"
#include "routing/sqlstate.h"

namespace mosaic::admin {

using routing::Error;
using routing::Result;
using routing::ShardId;
using routing::Status;

namespace {

constexpr int kServiceTurnMs = 500;
constexpr int kWaitTurnMs = 200;
// Plans are said line by line up to so many.
constexpr size_t kLinesMax = 20;

std::string size_text(uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1000 && unit + 1 < std::size(kUnits)) value /= 1000, ++unit;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

// What WAIT MOVE shows: the same line as long as nothing has changed.
std::string progress_line(const MoveRow& row) {
  std::string line = fmt::format("move {}: {}", row.id, to_text(row.state));
  const MoveProgress& progress = row.progress;
  if (row.state == MoveState::kCopying)
    line += fmt::format(", {} rows, {} of about {}, {}/s", progress.rows, size_text(progress.bytes),
                        size_text(progress.bytes_total), size_text(progress.rate_bytes));
  if (row.state == MoveState::kCutover) line += fmt::format(", attempt {}", progress.attempts);
  if (is_switched(row.state) && progress.write_pause_us > 0)
    line += fmt::format(", writes paused for {:.1f} ms", static_cast<double>(progress.write_pause_us) / 1000);
  if (!row.message.empty()) line += ": " + row.message;
  if (!progress.blockers.empty()) line += fmt::format(" ({})", progress.blockers);
  return line;
}

}  // namespace

MoveService::MoveService(ReadConfig config, std::string proxy, pool::EventSink* events, Work work)
    : config_(std::move(config)), proxy_(std::move(proxy)), events_(events) {
  if (work == Work::kMoves) thread_ = std::thread([this] { watch(); });
}

MoveService::~MoveService() { stop(); }

void MoveService::stop() {
  stop_.raise();
  look_up_.raise();
  if (thread_.joinable()) thread_.join();
}

void MoveService::watch() {
  std::optional<MoveStore> store;
  while (!stop_.is_raised()) {
    const auto config = config_();
    if (!store && config->moves.parallel_moves > 0) {
      auto opened = MoveStore::open(*config, &stop_);
      if (opened) store.emplace(std::move(*opened));
    }
    if (store) {
      auto rows = store->list(true);
      if (rows) {
        forget_done();
        for (const MoveRow& row : *rows) take(*store, *rows, row);
      } else {
        store.reset();
      }
    }
    look_up_.wait_ms(kServiceTurnMs);
    if (!stop_.is_raised()) look_up_.reset();
  }
  for (const auto& running : running_) running->mover->stop();
  for (const auto& running : running_) running->thread.join();
}

void MoveService::forget_done() {
  std::erase_if(running_, [](const std::unique_ptr<Running>& running) {
    if (!running->is_done) return false;
    running->thread.join();
    return true;
  });
}

// What has been switched must not wait; what soaks costs next to nothing.
void MoveService::take(MoveStore& store, const std::vector<MoveRow>& rows, const MoveRow& row) {
  if (row.is_leased) return;
  const auto is_mine = [&](const auto& running) { return running->mover->move() == row.id; };
  if (std::any_of(running_.begin(), running_.end(), is_mine)) return;
  const auto config = config_();
  const auto working = std::count_if(rows.begin(), rows.end(), [&](const MoveRow& other) {
    return other.is_leased && other.mover == proxy_ && other.state != MoveState::kSoaking;
  });
  const auto started =
      std::count_if(running_.begin(), running_.end(), [](const auto& running) { return !running->is_done; });
  const bool has_room = std::max(working, started - soaking(rows)) < config->moves.parallel_moves;
  if (!has_room && !is_switched(row.state)) return;
  if (config->find_node(row.source) == nullptr || config->find_node(row.target) == nullptr) return;
  auto claimed = store.claim(row.id, proxy_, config->moves.lease_ms);
  if (!claimed || !*claimed) return;
  auto own = MoveStore::open(*config, nullptr);
  if (!own) return;  // the lease runs out
  auto running = std::make_unique<Running>();
  running->mover = std::make_unique<Mover>(*config, std::move(*own), std::move(**claimed), events_);
  running->thread = std::thread([it = running.get()] {
    it->mover->run();
    it->is_done = true;
  });
  running_.push_back(std::move(running));
}

int64_t MoveService::soaking(const std::vector<MoveRow>& rows) const {
  return std::count_if(rows.begin(), rows.end(), [&](const MoveRow& row) {
    return row.is_leased && row.mover == proxy_ && row.state == MoveState::kSoaking;
  });
}

Result<std::vector<MoveRow>> MoveService::list() const {
  auto store = MoveStore::open(*config_(), nullptr);
  if (!store) return store.error();
  return store->list(false);
}

Status MoveService::run(const MoveCommand& command, const Say& say, const StopSignal& stop,
                        std::vector<uint64_t>* begun) {
  using Kind = MoveCommand::Kind;
  switch (command.kind) {
    case Kind::kMove:
      return begin_all(command, say, begun);
    case Kind::kCheck:
      return check(command, say, stop);
    case Kind::kDrain:
      return drain(command, say, begun);
    case Kind::kWait:
      return wait(command, say, stop);
    default:
      return change(command, say);
  }
}

// --- MOVE, DRAIN ---

// All of them, or none.
Status MoveService::begin_all(const MoveCommand& command, const Say& say, std::vector<uint64_t>* begun) {
  std::vector<std::pair<ShardId, std::string>> moves;
  for (const ShardId shard : command.shards) moves.emplace_back(shard, command.node);
  return begin(moves, command.options, say, begun);
}

Status MoveService::begin(const std::vector<std::pair<ShardId, std::string>>& moves,
                          const MoveOptions& options, const Say& say, std::vector<uint64_t>* begun) {
  const auto config = config_();
  for (const auto& [shard, node] : moves) {
    if (config->find_node(node) == nullptr)
      return Error{routing::sqlstate::kUndefinedObject, fmt::format("there is no node \"{}\"", node), "",
                   "SHOW NODES lists them"};
  }
  auto store = MoveStore::open(*config, nullptr);
  if (!store) return store.error();
  if (Status status = store->prepare(); !status) return status;
  if (Status status = store->connection().execute("BEGIN"); !status) return status;
  std::vector<std::string> lines;
  std::vector<uint64_t> ids;
  for (const auto& [shard, node] : moves) {
    const auto id = store->create(shard, node, options);
    if (!id) {
      static_cast<void>(store->connection().execute("ROLLBACK"));
      return id.error();
    }
    lines.push_back(fmt::format("move {}: shard {} to {}", *id, shard.value, node));
    ids.push_back(*id);
  }
  if (Status status = store->connection().execute("COMMIT"); !status) return status;
  if (begun != nullptr) *begun = std::move(ids);
  for (size_t i = 0; i < std::min(lines.size(), kLinesMax); ++i) say(lines[i]);
  if (lines.size() > kLinesMax) say(fmt::format("... and {} more", lines.size() - kLinesMax));
  say(lines.size() == 1 ? "SHOW MOVES tells how far it is" : "SHOW MOVES tells how far they are");
  look_up_.raise();
  return {};
}

// To whichever node has the fewest shards.
Status MoveService::drain(const MoveCommand& command, const Say& say, std::vector<uint64_t>* begun) {
  const auto config = config_();
  auto store = MoveStore::open(*config, nullptr);
  if (!store) return store.error();
  const std::string schema = config->catalog.schema;
  auto counts = store->connection().query(fmt::format(
      "SELECT n.name, count(s.shard) FROM {0}.nodes n LEFT JOIN {0}.shards s ON s.node = n.name GROUP BY 1",
      schema));
  if (!counts) return counts.error();
  std::map<std::string, int64_t> by_node;
  for (int row = 0; row < counts->count(); ++row) {
    const std::string name(counts->text(row, 0));
    const NodeConfig* node = config->find_node(name);
    if (node != nullptr && (node->has_shards || name == command.node))
      by_node[name] = counts->integer(row, 1);
  }
  if (!by_node.contains(command.node))
    return Error{routing::sqlstate::kUndefinedObject, fmt::format("node \"{}\" is not in use", command.node),
                 "", "SHOW NODES lists those that are"};
  by_node.erase(command.node);
  if (by_node.empty())
    return Error{routing::sqlstate::kObjectInUse,
                 fmt::format("there is no other node than {} for its shards", command.node), "",
                 "ADD NODE prepares one"};
  auto shards = store->connection().query(
      fmt::format("SELECT shard FROM {}.shards WHERE node = $1 ORDER BY shard", schema), {command.node});
  if (!shards) return shards.error();
  std::vector<std::pair<ShardId, std::string>> moves;
  std::map<std::string, int64_t> gains;
  for (int row = 0; row < shards->count(); ++row) {
    const auto fewest = std::min_element(by_node.begin(), by_node.end(),
                                         [](const auto& a, const auto& b) { return a.second < b.second; });
    ++fewest->second;
    ++gains[fewest->first];
    moves.emplace_back(ShardId{static_cast<uint32_t>(shards->integer(row, 0))}, fewest->first);
  }
  for (const auto& [node, count] : gains)
    say(fmt::format("{} shards of {} go to {}, which then has {}", count, command.node, node, by_node[node]));
  if (moves.empty()) say(fmt::format("node {} has no shards", command.node));
  if (command.is_dry_run || moves.empty()) return {};
  return begin(moves, command.options, say, begun);
}

// --- CHECK ---

Status MoveService::check(const MoveCommand& command, const Say& say, const StopSignal& stop) {
  const auto config = config_();
  auto store = MoveStore::open(*config, nullptr);
  if (!store) return store.error();
  size_t blocking = 0;
  for (const ShardId shard : command.shards) {
    auto source = store->node_of(shard);
    if (!source) return source.error();
    MoveRow row;
    row.shard = shard;
    row.source = *source;
    row.target = command.node;
    if (config->find_node(row.target) == nullptr)
      return Error{routing::sqlstate::kUndefinedObject, fmt::format("there is no node \"{}\"", row.target),
                   "", "SHOW NODES lists them"};
    if (row.source == row.target)
      return Error{routing::sqlstate::kObjectInUse,
                   fmt::format("shard {} is on node {} already", shard.value, row.target), "",
                   "name another node"};
    MoveNodes nodes(*config, row, stop);
    auto findings = find_obstacles(
        nodes, routing::shard_schema_name(config->shards.schema_prefix, shard, config->shards.count));
    if (!findings) return findings.error();
    for (const MoveFinding& finding : *findings) {
      blocking += finding.is_blocking ? 1 : 0;
      say(fmt::format("shard {}: {}{}{}", shard.value, finding.is_blocking ? "" : "(no obstacle) ",
                      finding.what, finding.hint.empty() ? "" : "; " + finding.hint));
    }
    if (findings->empty())
      say(fmt::format("shard {} can go from {} to {}", shard.value, row.source, row.target));
  }
  if (blocking == 0) return {};
  return Error{routing::sqlstate::kObjectInUse, fmt::format("{} obstacles", blocking), "",
               "the notices say which"};
}

// --- the others ---

Status MoveService::change(const MoveCommand& command, const Say& say) {
  using Kind = MoveCommand::Kind;
  auto store = MoveStore::open(*config_(), nullptr);
  if (!store) return store.error();
  auto row = store->find(command.move);
  if (!row) return row.error();
  const std::string name = fmt::format("move {}", row->id);
  const auto refuse = [&](const std::string& why, const std::string& hint) {
    return Error{routing::sqlstate::kObjectInUse, why, "", hint};
  };
  if (is_final(row->state))
    return refuse(fmt::format("{} has ended: it is {}", name, to_text(row->state)), "");
  if (command.kind == Kind::kPause && row->state >= MoveState::kCutover)
    return refuse(fmt::format("{} is {}: it can not be paused any more", name, to_text(row->state)), "");
  if (command.kind == Kind::kCancel && !next(row->state, MoveEvent::kCancel))
    return refuse(
        fmt::format("{} is {}: shard {} is on {} already", name, to_text(row->state), row->shard.value,
                    row->target),
        row->state == MoveState::kSoaking ? fmt::format("UNDO MOVE {} brings it back", row->id) : "");
  if (command.kind == Kind::kUndo && (row->state != MoveState::kSoaking || !row->facts.has_way_back))
    return refuse(fmt::format("{} is {}: there is no way back that is kept up", name, to_text(row->state)),
                  is_switched(row->state) ? fmt::format("MOVE SHARD {} TO {}", row->shard.value, row->source)
                                          : fmt::format("CANCEL MOVE {} ends it before the switch", row->id));
  if (command.kind == Kind::kFinish && row->state != MoveState::kSoaking)
    return refuse(
        fmt::format("{} is {}: only a move that is soaking can be finished", name, to_text(row->state)), "");
  const char* wish = command.kind == Kind::kPause    ? "pause"
                     : command.kind == Kind::kCancel ? "cancel"
                     : command.kind == Kind::kUndo   ? "undo"
                     : command.kind == Kind::kFinish ? "finish"
                                                     : "";
  if (Status status = store->set_wish(row->id, wish); !status) return status;
  say(fmt::format("asked for; SHOW MOVES or WAIT MOVE {} tell when it is done", row->id));
  look_up_.raise();
  return {};
}

Status MoveService::wait(const MoveCommand& command, const Say& say, const StopSignal& stop) {
  auto store = MoveStore::open(*config_(), &stop);
  if (!store) return store.error();
  std::string told;
  while (true) {
    auto row = store->find(command.move);
    if (!row) return row.error();
    if (std::string line = progress_line(*row); line != told) {
      say(line);
      told = std::move(line);
    }
    if (row->state == MoveState::kAborted)
      return Error{routing::sqlstate::kQueryCanceled, fmt::format("move {} was given up", row->id),
                   row->message, ""};
    if (is_final(row->state) || (row->state == MoveState::kSoaking && row->wish.empty())) return {};
    if (stop.wait_ms(kWaitTurnMs)) return {};
  }
}

}  // namespace mosaic::admin
