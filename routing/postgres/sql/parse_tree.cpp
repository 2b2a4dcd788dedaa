#include "routing/postgres/sql/parse_tree.h"

#include <pg_query.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <string>
#include <vector>

namespace mosaic::routing {

// A tree has hundreds of nodes that all go at once: unpacking into a few blocks is several times faster than
// a malloc for each.
class ParseTree::Arena {
 public:
  Arena() = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena() {
    for (char* block : blocks_) std::free(block);
  }

  ProtobufCAllocator* allocator() { return &allocator_; }

 private:
  static constexpr size_t kBlockBytes = 32 << 10;

  void* allocate(size_t bytes) {
    bytes = (bytes + alignof(std::max_align_t) - 1) & ~(alignof(std::max_align_t) - 1);
    if (bytes > left_) {
      const size_t block_bytes = bytes > kBlockBytes ? bytes : kBlockBytes;
      char* block = static_cast<char*>(std::malloc(block_bytes));
      if (block == nullptr) return nullptr;
      blocks_.push_back(block);
      at_ = block;
      left_ = block_bytes;
    }
    void* result = at_;
    at_ += bytes;
    left_ -= bytes;
    return result;
  }

  ProtobufCAllocator allocator_{
      [](void* arena, size_t bytes) { return static_cast<Arena*>(arena)->allocate(bytes); },
      [](void*, void*) {}, this};
  std::vector<char*> blocks_;
  char* at_ = nullptr;
  size_t left_ = 0;
};

namespace {

// Owns the packed form until it is unpacked.
class PackedTree {
 public:
  explicit PackedTree(const char* text) : result_(pg_query_parse_protobuf(text)) {}
  ~PackedTree() { pg_query_free_protobuf_parse_result(result_); }
  PackedTree(const PackedTree&) = delete;
  PackedTree& operator=(const PackedTree&) = delete;

  bool is_valid() const { return result_.error == nullptr; }
  ParseFailure failure() const {
    if (is_valid()) return {};
    return {result_.error->message, static_cast<uint32_t>(std::max(result_.error->cursorpos, 0))};
  }
  const PgQueryProtobuf& bytes() const { return result_.parse_tree; }

 private:
  PgQueryProtobufParseResult result_;
};

}  // namespace

std::optional<ParseTree> ParseTree::parse(std::string_view text) {
  const PackedTree packed(std::string(text).c_str());
  if (!packed.is_valid()) return std::nullopt;
  auto arena = std::make_unique<Arena>();
  const PgQuery__ParseResult* root = pg_query__parse_result__unpack(
      arena->allocator(), packed.bytes().len, reinterpret_cast<const uint8_t*>(packed.bytes().data));
  if (root == nullptr) return std::nullopt;
  return ParseTree(std::move(arena), root);
}

std::string_view parser_version() { return PG_VERSION; }

ParseFailure ParseTree::find_failure(std::string_view text) {
  return PackedTree(std::string(text).c_str()).failure();
}

ParseTree::ParseTree(std::unique_ptr<Arena> arena, const PgQuery__ParseResult* root)
    : arena_(std::move(arena)), root_(root) {}
ParseTree::ParseTree(ParseTree&&) noexcept = default;
ParseTree& ParseTree::operator=(ParseTree&&) noexcept = default;
ParseTree::~ParseTree() = default;

const ProtobufCMessage* message_of(const Node* node) {
  if (node == nullptr || node->node_case == PG_QUERY__NODE__NODE__NOT_SET) return nullptr;
  // All members of the union are pointers to messages, and a message starts with its ProtobufCMessage.
  return reinterpret_cast<const ProtobufCMessage*>(node->alias);
}

std::string_view string_of(const Node* node) {
  if (node == nullptr || node->node_case != PG_QUERY__NODE__NODE_STRING) return {};
  return node->string->sval;
}

bool is_equals(NodeList name) {
  if (name.is_empty() || string_of(name[name.size() - 1]) != "=") return false;
  return name.size() == 1 || string_of(name[0]) == "pg_catalog";
}

}  // namespace mosaic::routing
