#include "admin/move/move_service.h"

#include <fmt/format.h>

#include <algorithm>

#include "admin/move/move_texts.h"
#include "routing/catalog_snapshot.h"
#include "routing/sqlstate.h"

namespace mosaic::admin {

using routing::Error;
using routing::Result;
using routing::ShardId;
using routing::Status;

namespace {

constexpr int kServiceTurnMs = 500;
constexpr int kArrivalTurnMs = 100;  // while a shard is about to be switched

}  // namespace

MoveService::MoveService(ReadConfig config) : config_(std::move(config)) {}

MoveService::MoveService(ReadConfig config, std::string proxy, pool::EventSink* events, ReadCounts counts,
                         ExpectShard expect)
    : config_(std::move(config)),
      proxy_(std::move(proxy)),
      events_(events),
      counts_(std::move(counts)),
      expect_(std::move(expect)),
      thread_([this] { watch(); }) {}

MoveService::~MoveService() { stop(); }

void MoveService::stop() {
  stop_.raise();
  look_up_.raise();
  if (thread_.joinable()) thread_.join();
}

void MoveService::watch() {
  std::optional<MoveStore> store;
  while (!stop_.is_raised()) {
    bool is_any_near = false;
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
        tell_counts(*store, *rows);
        is_any_near = prepare_arrivals(*rows);
      } else {
        store.reset();
      }
    }
    look_up_.wait_ms(is_any_near ? kArrivalTurnMs : kServiceTurnMs);
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

// Proxies open connections to the nodes that shards are about to come to. Whether any is, or soon will be,
// that far.
bool MoveService::prepare_arrivals(const std::vector<MoveRow>& open) const {
  bool is_any_near = false;
  for (const MoveRow& row : open) {
    is_any_near |= row.state >= MoveState::kIndexing && row.state <= MoveState::kReady;
    if ((row.state == MoveState::kVerifying || row.state == MoveState::kReady) && !row.options.is_rehearsal)
      expect_(row.shard, row.target);
  }
  return is_any_near;
}

// What moves cost this proxy's clients, from when it has first seen each until it has ended.
void MoveService::tell_counts(MoveStore& store, const std::vector<MoveRow>& open) {
  if (open.empty() && told_.empty()) return;
  const proxy::MovingCountsByShard counts = counts_();
  const auto counts_of = [&](routing::ShardId shard) {
    const auto at = counts.find(shard.value);
    return at == counts.end() ? proxy::MovingCounts{} : at->second;
  };
  for (const MoveRow& row : open) {
    if (!told_.contains(row.id)) told_[row.id] = {row.shard, counts_of(row.shard), {}};
  }
  for (auto at = told_.begin(); at != told_.end();) {
    const uint64_t move = at->first;
    Told& told = at->second;
    proxy::MovingCounts added = counts_of(told.shard) - told.before;
    added.longest_us = std::max(added.longest_us, told.added.longest_us);
    if (added != told.added && store.set_counts(move, proxy_, added)) told.added = added;
    const bool is_open =
        std::any_of(open.begin(), open.end(), [&](const MoveRow& row) { return row.id == move; });
    at = is_open ? std::next(at) : told_.erase(at);
  }
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
  const bool has_room = std::max(working, started - soaking(rows)) < config->moves.parallel_moves &&
                        most_of_a_node(rows, row) < config->moves.moves_per_node;
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

// Moves under way from or to a node of this one.
int64_t MoveService::most_of_a_node(const std::vector<MoveRow>& rows, const MoveRow& row) {
  const auto count_on = [&](const std::string& node) {
    return std::count_if(rows.begin(), rows.end(), [&](const MoveRow& other) {
      return other.is_leased && other.state != MoveState::kSoaking &&
             (other.source == node || other.target == node);
    });
  };
  return std::max(count_on(row.source), count_on(row.target));
}

int64_t MoveService::soaking(const std::vector<MoveRow>& rows) const {
  return std::count_if(rows.begin(), rows.end(), [&](const MoveRow& row) {
    return row.is_leased && row.mover == proxy_ && row.state == MoveState::kSoaking;
  });
}

Result<std::vector<MoveRow>> MoveService::list(bool only_open) const {
  auto store = MoveStore::open(*config_(), nullptr);
  if (!store) return store.error();
  return store->list(only_open);
}

Status MoveService::run(const MoveCommand& command, const Say& say, const StopSignal& stop,
                        std::vector<uint64_t>* begun) {
  using Kind = MoveCommand::Kind;
  switch (command.kind) {
    case Kind::kMove:
    case Kind::kRehearse:
      return begin_all(command, say, begun);
    case Kind::kCheck:
      return check(command, say, stop);
    case Kind::kDrain:
    case Kind::kRebalance:
      return spread(command, say, stop, begun);
    case Kind::kWait:
      return wait(command, say, stop);
    default:
      return change(command, say);
  }
}

// --- MOVE ---

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
    lines.push_back(fmt::format("move {}: shard {} to {}{}", *id, shard.value, node,
                                options.is_rehearsal ? ", rehearsed only" : ""));
    ids.push_back(*id);
  }
  if (Status status = store->connection().execute("COMMIT"); !status) return status;
  if (begun != nullptr) *begun = std::move(ids);
  say_some(lines, say);
  say(lines.size() == 1 ? "SHOW MOVES tells how far it is" : "SHOW MOVES tells how far they are");
  look_up_.raise();
  return {};
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
    const size_t blocking_before = blocking;
    for (const MoveFinding& finding : *findings) {
      blocking += finding.is_blocking ? 1 : 0;
      say(fmt::format("shard {}: {}{}{}", shard.value, finding.is_blocking ? "" : "(no obstacle) ",
                      finding.what, finding.hint.empty() ? "" : "; " + finding.hint));
    }
    if (blocking == blocking_before)
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

}  // namespace mosaic::admin
