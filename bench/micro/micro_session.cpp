// What does one statement cost in a session, without sockets: the client's messages in, the lease, the
// server's answer back? One iteration is one statement of one row, including what the fake server needs to
// answer it; users, and so shards and nodes, alternate. Run: build/release/bench/micro/micro_session

#include <fmt/format.h>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bench/micro/measured.h"
#include "bench/micro/sample_catalog.h"
#include "pool/postgres/name_values.h"
#include "proxy/postgres/session/session.h"
#include "routing/postgres/wire/messages.h"

namespace {

using namespace mosaic::routing;
using mosaic::pool::ServerMemory;
using mosaic::proxy::LeaseEnd;
using mosaic::proxy::Outbox;
using mosaic::proxy::Session;
using mosaic::proxy::SessionEnvironment;

constexpr uint16_t kShards = 64;
constexpr int kUsers = 256;

// Answers every message as PostgreSQL would answer a statement of one row.
class FakeServer {
 public:
  FakeServer() {
    const std::array<ColumnDescription, 2> columns{{{"user_id", 20, 8}, {"name"}}};
    append_row_description(description_, columns);
    append_data_row(row_, std::array<std::optional<std::string>, 2>{"123456", "somebody"});
    append_command_complete(row_, "SELECT 1");
    append_ready(ready_, 'I');
    append_empty(parsed_, '1');
    append_empty(bound_, '2');
  }
  void answer(std::string_view messages, ByteBuffer& out) const {
    while (const auto header = find_frame_header(messages)) {
      messages.remove_prefix(header->frame_bytes());
      switch (header->type) {
        case 'Q':
          out.append(description_.view());
          out.append(row_.view());
          out.append(ready_.view());
          break;
        case 'P':
          out.append(parsed_.view());
          break;
        case 'B':
          out.append(bound_.view());
          break;
        case 'D':
          out.append(description_.view());
          break;
        case 'E':
          out.append(row_.view());
          break;
        case 'S':
          out.append(ready_.view());
          break;
        default:
          break;
      }
    }
  }

 private:
  ByteBuffer description_, row_, ready_, parsed_, bound_;
};

// A session with its surroundings, and what its driver does between the events, less the sockets.
class Conversation {
 public:
  explicit Conversation(bool prepares_simple_queries) {
    environment_.router = &router_;
    environment_.statements = &statements_;
    environment_.welcomes = &welcomes_;
    environment_.parse_contexts = &parse_contexts_;
    environment_.binder = &binder_;
    environment_.buffers = &buffers_;
    environment_.name_values = &name_values_;
    environment_.catalog = std::make_shared<const CatalogSnapshot>(mosaic::micro::sample_parts(kShards));
    environment_.max_prepared_statements = 500;
    environment_.max_client_prepared_statements = 100;
    environment_.prepare_threshold = 5;
    environment_.prepare_simple_queries = prepares_simple_queries;
    environment_.traffic.resize(3);
    environment_.shard_queries.resize(kShards);
    outbox_.to_client = &client_;
    outbox_.to_server = &server_;
    for (uint16_t node = 0; node < 3; ++node) {
      servers_[node].node = NodeId{node};
      servers_[node].settings = name_values_.empty();
      servers_[node].parameters = name_values_.intern({{"server_version", "15"}});
    }
    welcomes_.store("app", name_values_.empty(), servers_[0].parameters);
    session_ = std::make_unique<Session>(environment_, outbox_);
    session_->on_login("app", {}, 1, 2);
  }

  // Sends the client's messages and plays all parts until the client has its ReadyForQuery. False: it got an
  // error.
  bool run(std::string_view messages) {
    client_.clear();
    while (const auto header = find_frame_header(messages)) {
      const std::string_view body = messages.substr(kFrameHeaderBytes, header->body_bytes());
      if (session_->on_client_frame(header->type, body) == Session::Intake::kTaken) {
        messages.remove_prefix(header->frame_bytes());
      }
      if (const auto request = std::exchange(outbox_.lease_request, std::nullopt)) {
        session_->on_lease(servers_[request->node.value]);
      }
      if (!server_.is_empty()) answer();
    }
    const bool has_returned = std::exchange(outbox_.lease_end, LeaseEnd::kNone) == LeaseEnd::kReturn;
    return has_returned && !has_error_;
  }
  size_t bytes_to_client() const { return client_.size(); }

 private:
  void answer() {
    answer_.clear();
    fake_server_.answer(server_.view(), answer_);
    server_.clear();
    for (std::string_view rest = answer_.view(); !rest.empty();) {
      const auto header = find_frame_header(rest);
      const std::string_view frame = rest.substr(0, header->frame_bytes());
      auto verdict = session_->on_server_frame(*header);
      if (verdict == Session::Verdict::kBody) {
        verdict = session_->on_server_body(header->type, frame.substr(kFrameHeaderBytes));
      }
      if (verdict == Session::Verdict::kForward) client_.append(frame);
      has_error_ = has_error_ || header->type == 'E';
      rest.remove_prefix(frame.size());
    }
  }

  mosaic::pool::NameValuesTable name_values_;
  Router router_{RouterLimits{}};
  mosaic::proxy::StatementCache statements_{1 << 20, 1, 1};
  mosaic::proxy::WelcomeCache welcomes_;
  mosaic::proxy::ParseContexts parse_contexts_{1, 1};
  mosaic::proxy::QueryBinder binder_;
  mosaic::routing::BufferStock buffers_;
  SessionEnvironment environment_;
  ByteBuffer client_, server_, answer_;
  Outbox outbox_;
  std::array<ServerMemory, 3> servers_;
  FakeServer fake_server_;
  std::unique_ptr<Session> session_;
  bool has_error_ = false;
};

void append_bind(ByteBuffer& out, std::string_view statement, const std::string& value) {
  FrameWriter frame(out, 'B');
  out.append_c_string("");
  out.append_c_string(statement);
  out.append_u16(0);
  out.append_u16(1);
  out.append_u32(static_cast<uint32_t>(value.size()));
  out.append(value);
  out.append_u16(0);
}

// As libpq's PQexecPrepared and PQexecParams do it: Bind, Describe, Execute, Sync.
void append_execution(ByteBuffer& out, std::string_view statement, const std::string& value) {
  append_bind(out, statement, value);
  append_describe(out, 'P', "");
  {
    FrameWriter frame(out, 'E');
    out.append_c_string("");
    out.append_u32(0);
  }
  append_sync(out);
}

constexpr std::string_view kText = "SELECT user_id, name FROM users WHERE user_id = $1";

using MakeMessages = void (*)(ByteBuffer& out, const std::string& user);

void simple(ByteBuffer& out, const std::string& user) {
  append_query(out, "SELECT user_id, name FROM users WHERE user_id = " + user);
}
void extended(ByteBuffer& out, const std::string& user) {
  append_parse(out, "", kText, {});
  append_execution(out, "", user);
}
void prepared(ByteBuffer& out, const std::string& user) { append_execution(out, "read_user", user); }

void statement(benchmark::State& state, MakeMessages make, bool prepares_simple_queries = false) {
  Conversation conversation(prepares_simple_queries);
  ByteBuffer preparation;
  append_parse(preparation, "read_user", kText, {});
  append_sync(preparation);
  conversation.run(preparation.view());
  std::vector<ByteBuffer> messages(kUsers);
  for (int i = 0; i < kUsers; ++i) make(messages[static_cast<size_t>(i)], std::to_string(1'000'000 + i));
  // The first round fills the caches and prepares the statement on every server.
  for (int round = 0; round < 2; ++round) {
    for (const ByteBuffer& one : messages) {
      if (!conversation.run(one.view()))
        return state.SkipWithError("a statement failed, or its lease did not end");
    }
  }
  size_t at = 0;
  const mosaic::micro::Measured measured(state);
  for (auto _ : state) {
    if (!conversation.run(messages[at].view())) return state.SkipWithError("a statement failed");
    at = (at + 1) % kUsers;
    benchmark::DoNotOptimize(conversation.bytes_to_client());
  }
}

BENCHMARK_CAPTURE(statement, simple, simple);
BENCHMARK_CAPTURE(statement, bound, simple, true);
BENCHMARK_CAPTURE(statement, extended, extended);
BENCHMARK_CAPTURE(statement, prepared, prepared);

}  // namespace

BENCHMARK_MAIN();
