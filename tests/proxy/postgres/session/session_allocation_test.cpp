// A statement whose shape is known costs no allocation in session, router and splice: counted with operator
// new of this program's own, over prepared messages and three nodes with 1,024 shards.

#include <fmt/format.h>
#include <gtest/gtest.h>
#if defined(__SANITIZE_ADDRESS__)
#include <execinfo.h>
#include <sanitizer/common_interface_defs.h>
#endif

#include <array>
#include <cstdlib>
#include <new>

#include "routing/postgres/function_classes.h"
#include "tests/proxy/postgres/session/session_script.h"

namespace {

bool is_counting = false;
size_t allocations = 0;

#if defined(__SANITIZE_ADDRESS__)
// Where the first allocations came from, for the message of a test that fails.
constexpr size_t kSitesMax = 4, kFramesMax = 10;
std::array<std::array<void*, kFramesMax>, kSitesMax> sites;
std::array<int, kSitesMax> site_frames;
#endif

void count_allocation() {
  if (!is_counting) return;
  is_counting = false;
#if defined(__SANITIZE_ADDRESS__)
  if (allocations < kSitesMax) site_frames[allocations] = backtrace(sites[allocations].data(), kFramesMax);
#endif
  ++allocations;
  is_counting = true;
}

std::string describe_sites() {
  std::string text;
#if defined(__SANITIZE_ADDRESS__)
  for (size_t i = 0; i < std::min(allocations, kSitesMax); ++i) {
    for (int frame = 2; frame < site_frames[i]; ++frame) {
      char line[400];
      __sanitizer_symbolize_pc(static_cast<char*>(sites[i][static_cast<size_t>(frame)]) - 1, "%f %s:%l", line,
                               sizeof line);
      text += fmt::format("  {}\n", line);
    }
    text += "  --\n";
  }
#endif
  return text;
}

}  // namespace

// Not inlined: a compiler that sees free() behind a new of the standard library's takes it for a mistake.
[[gnu::noinline]] void* operator new(size_t bytes) {
  count_allocation();
  if (void* memory = std::malloc(bytes == 0 ? 1 : bytes)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
void* operator new[](size_t bytes) { return operator new(bytes); }
void operator delete[](void* memory) noexcept { operator delete(memory); }
void operator delete(void* memory, size_t) noexcept { operator delete(memory); }
void operator delete[](void* memory, size_t) noexcept { operator delete(memory); }

namespace mosaic::proxy {
namespace {

constexpr int kKeys = 8;
constexpr int kWarmRounds = 3;

std::shared_ptr<const routing::CatalogSnapshot> large_catalog() {
  routing::CatalogSnapshot::Parts parts;
  parts.epoch.value = 1;
  parts.functions = routing::FunctionClasses::empty();
  parts.node_names = {"pg1", "pg2", "pg3"};
  for (uint32_t shard = 0; shard < 1024; ++shard)
    parts.places.push_back({{static_cast<uint16_t>(shard * 3 / 1024)}, {}, false});
  routing::Table media;
  media.name = "media";
  media.key = "user_id";
  media.id = "id";
  media.columns = {{"id", 20}, {"user_id", 20}, {"caption", 25}};
  parts.tables.push_back(media);
  return std::make_shared<const routing::CatalogSnapshot>(std::move(parts));
}

struct Message {
  char type;
  std::string body;
};

// A session, a server session of each node, and what both say, made beforehand.
class AllocationBench {
 public:
  AllocationBench() {
    environment_.router = &router_;
    environment_.statements = &statements_;
    environment_.welcomes = &welcomes_;
    environment_.parse_contexts = &parse_contexts_;
    environment_.binder = &binder_;
    environment_.buffers = &buffers_;
    environment_.name_values = &name_values_;
    environment_.catalog = large_catalog();
    environment_.max_prepared_statements = 100;
    environment_.max_client_prepared_statements = 100;
    environment_.traffic.resize(3);
    environment_.shard_queries.resize(1024);
    const auto parameters = name_values_.intern({{"server_version", "15"}});
    for (uint16_t node = 0; node < 3; ++node) {
      servers_[node].node.value = node;
      servers_[node].settings = name_values_.empty();
      servers_[node].parameters = parameters;
    }
    welcomes_.store("app", name_values_.empty(), parameters);
    outbox_.to_client = &client_out_;
    outbox_.to_server = &server_out_;
    session_.emplace(environment_, outbox_);
    session_->on_login("app", {}, 1, 2);
  }

  SessionEnvironment& environment() { return environment_; }

  void client(const Message& message) {
    if (session_->on_client_frame(message.type, message.body) == Session::Intake::kTaken) return;
    pool::ServerMemory& server = servers_[outbox_.lease_request->node.value];
    outbox_.lease_request.reset();
    session_->on_lease(server);
    ASSERT_EQ(session_->on_client_frame(message.type, message.body), Session::Intake::kTaken);
  }

  // Answers what the session has sent, message by message, as a server does.
  void serve() {
    while (const auto header = routing::find_frame_header(server_out_.view())) {
      const char type = header->type;
      server_out_.consume(header->frame_bytes());
      if (type == 'P') server('1', {});
      if (type == 'B') server('2', {});
      if (type == 'C') server('3', {});
      if (type == 'D') server('T', std::string_view("\0\0", 2));
      if (type == 'Q') server('T', std::string_view("\0\0", 2));
      if (type == 'E' || type == 'Q') {
        server('D', std::string_view("\0\0", 2));
        server('C', std::string_view("SELECT 1\0", 9));
      }
      if (type == 'S' || type == 'Q') server('Z', "I");
    }
    outbox_.lease_end = LeaseEnd::kNone;
    client_out_.clear();
  }

  // Runs the messages of each key round by round; the allocations of the last round, per statement.
  void expect_none(const std::vector<std::vector<Message>>& statements) {
    for (int round = 0; round <= kWarmRounds; ++round) {
      allocations = 0;
      is_counting = round == kWarmRounds;
      for (const auto& messages : statements) {
        for (const Message& message : messages) client(message);
        serve();
      }
      is_counting = false;
    }
    EXPECT_EQ(allocations, 0u) << "in " << statements.size() << " statements, from:\n" << describe_sites();
    ASSERT_FALSE(session_->is_busy());
  }

 private:
  void server(char type, std::string_view body) {
    routing::FrameHeader header;
    header.type = type;
    header.length = static_cast<uint32_t>(body.size() + 4);
    if (session_->on_server_frame(header) == Session::Verdict::kBody) session_->on_server_body(type, body);
  }

  pool::NameValuesTable name_values_;
  routing::Router router_{routing::RouterLimits{}};
  StatementCache statements_{1 << 20, 1, 1};
  WelcomeCache welcomes_;
  ParseContexts parse_contexts_{1, 1};
  QueryBinder binder_;
  routing::BufferStock buffers_;
  SessionEnvironment environment_;
  routing::ByteBuffer client_out_, server_out_;
  Outbox outbox_;
  std::array<pool::ServerMemory, 3> servers_;
  std::optional<Session> session_;
};

std::string bind_body(std::string_view statement, std::string_view key) {
  routing::ByteBuffer body;
  body.append_c_string("");
  body.append_c_string(statement);
  body.append_u16(0);
  body.append_u16(1);
  body.append_u32(static_cast<uint32_t>(key.size()));
  body.append(key);
  body.append_u16(0);
  return std::string(body.view());
}

const std::string kSelect("SELECT caption FROM media WHERE user_id = $1");
const Message kDescribe{'D', std::string("P\0", 2)}, kExecute{'E', std::string(5, '\0')}, kSync{'S', ""};

TEST(SessionAllocations, none_for_a_simple_select_by_key) {
  std::vector<std::vector<Message>> statements;
  for (int key = 0; key < kKeys; ++key) {
    const std::string text = fmt::format("SELECT caption FROM media WHERE user_id = {}", 1000 + 77 * key);
    statements.push_back({{'Q', text + '\0'}});
  }
  AllocationBench bench;
  bench.expect_none(statements);
}

TEST(SessionAllocations, none_for_a_bound_query) {
  std::vector<std::vector<Message>> statements;
  for (int key = 0; key < kKeys; ++key) {
    const std::string text =
        fmt::format("UPDATE media SET caption = 'it''s {}' WHERE user_id = {}", key, 1000 + 77 * key);
    statements.push_back({{'Q', text + '\0'}});
  }
  AllocationBench bench;
  bench.environment().prepare_simple_queries = true;
  bench.environment().prepare_threshold = 2;
  bench.expect_none(statements);
  EXPECT_EQ(bench.environment().bound_queries, (kWarmRounds + 1) * kKeys - 1);
}

TEST(SessionAllocations, none_for_an_unnamed_statement) {
  std::vector<std::vector<Message>> statements;
  for (int key = 0; key < kKeys; ++key) {
    const Message parse{'P', '\0' + kSelect + std::string(3, '\0')};
    statements.push_back(
        {parse, {'B', bind_body("", std::to_string(1000 + 77 * key))}, kDescribe, kExecute, kSync});
  }
  AllocationBench bench;
  bench.expect_none(statements);
}

TEST(SessionAllocations, none_for_a_prepared_statement) {
  AllocationBench bench;
  bench.client({'P', std::string("q\0", 2) + kSelect + std::string(3, '\0')});
  bench.client(kSync);
  bench.serve();
  std::vector<std::vector<Message>> statements;
  for (int key = 0; key < kKeys; ++key)
    statements.push_back({{'B', bind_body("q", std::to_string(1000 + 77 * key))}, kExecute, kSync});
  bench.expect_none(statements);
}

// The counter itself: an allocation that is there is counted.
TEST(SessionAllocations, are_counted) {
  allocations = 0;
  is_counting = true;
  auto* number = new int(1);
  is_counting = false;
  EXPECT_EQ(allocations, 1u);
  delete number;
}

}  // namespace
}  // namespace mosaic::proxy
