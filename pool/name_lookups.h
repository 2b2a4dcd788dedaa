#pragma once
// Host names to addresses. The system's resolver blocks, for minutes when a name server is silent, so each
// host that is being looked up has a thread of its own: one that hangs holds up nobody who asks for another.
// Who asks for the same host meanwhile waits for the same answer, so there are at most as many threads as
// hosts in the config. Called by event loops (EventLoop::resolve), from any thread.

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace mosaic::pool {

class NameLookups {
 public:
  struct Answer {
    std::vector<std::string> addresses;  // numeric, in the resolver's order; empty: none, and why
    std::string error;
  };
  using Look = std::function<Answer(const std::string& host)>;  // may block
  using Tell = std::function<void(const Answer&)>;

  explicit NameLookups(Look look);
  static NameLookups& of_process();  // asks the system's resolver

  // `tell` is called once, on another thread, and must not block.
  void find(const std::string& host, Tell tell);

 private:
  // Outlives this object while a look-up hangs.
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace mosaic::pool
