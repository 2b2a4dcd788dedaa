#pragma once
// Which client a CancelRequest means: a CancelRequest comes on a connection of its own, through any worker.
// One per process, called by all workers; keeps keys, knows no sessions: the target's worker checks slot and
// generation.

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>

namespace mosaic::proxy {

// What BackendKeyData tells the client. The process id is no process of ours: it is drawn like the secret, so
// that one client's key says nothing about another's, and no process of any node can have it: a client that
// passes it to pg_terminate_backend() must not end somebody else's.
struct CancelKey {
  uint32_t process_id = 0;  // 2^22+1 .. 2^31-1: drivers keep it in an int
  uint32_t secret = 0;
  bool operator==(const CancelKey&) const = default;
};

struct CancelTarget {
  uint32_t worker = 0;
  uint32_t slot = 0;
  uint64_t generation = 0;
  bool operator==(const CancelTarget&) const = default;
};

class CancelRegistry {
 public:
  using DrawRandom = std::function<uint64_t()>;  // called under the registry's lock

  // `draw_random`: random_u64 but in tests.
  explicit CancelRegistry(DrawRandom draw_random) : draw_random_(std::move(draw_random)) {}
  CancelRegistry(const CancelRegistry&) = delete;
  CancelRegistry& operator=(const CancelRegistry&) = delete;

  // A key that no living client has. Of clients that have been let in only, so that max_client_conn is its
  // limit.
  CancelKey add(CancelTarget target);
  // Forgets the key; a key that is not there is ignored.
  void remove(CancelKey key);
  // The target only when both halves are right. Takes the same time for every secret.
  std::optional<CancelTarget> find(CancelKey key) const;
  size_t size() const;

 private:
  struct Entry {
    uint32_t secret;
    CancelTarget target;
  };
  const DrawRandom draw_random_;
  mutable std::mutex mutex_;
  std::unordered_map<uint32_t, Entry> entries_;  // by process id
};

}  // namespace mosaic::proxy
