#pragma once
// How often clients of this process have changed what is defined on the nodes (functions, triggers, tables
// ...). What a catalog snapshot says of definitions holds for the count that it was read at: between a CREATE
// FUNCTION and the snapshot that knows of it, a function that was clean may be so no longer. One per process,
// shared by all workers.

#include <atomic>
#include <cstdint>
#include <functional>
#include <utility>

namespace mosaic::proxy {

class SchemaChanges {
 public:
  uint64_t count() const { return count_.load(std::memory_order_acquire); }
  // On any thread: a statement that defines things has completed, or a transaction that ran one has been
  // committed.
  void note() {
    count_.fetch_add(1, std::memory_order_acq_rel);
    if (on_change_) on_change_();
  }
  // Called by note(), on its thread; must not block. To be set before the first worker starts.
  void set_on_change(std::function<void()> on_change) { on_change_ = std::move(on_change); }

 private:
  std::atomic<uint64_t> count_{0};
  std::function<void()> on_change_;
};

}  // namespace mosaic::proxy
