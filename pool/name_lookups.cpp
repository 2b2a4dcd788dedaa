#include "pool/name_lookups.h"

#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

namespace mosaic::pool {

namespace {

NameLookups::Answer look_up(const std::string& host) {
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  NameLookups::Answer answer;
  if (const int status = getaddrinfo(host.c_str(), nullptr, &wanted, &found); status != 0) {
    answer.error = gai_strerror(status);
    return answer;
  }
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    char address[NI_MAXHOST] = "";
    if (getnameinfo(at->ai_addr, at->ai_addrlen, address, sizeof address, nullptr, 0, NI_NUMERICHOST) != 0)
      continue;
    if (std::find(answer.addresses.begin(), answer.addresses.end(), address) == answer.addresses.end())
      answer.addresses.emplace_back(address);
  }
  freeaddrinfo(found);
  if (answer.addresses.empty()) answer.error = "the name has no address";
  return answer;
}

}  // namespace

struct NameLookups::State {
  explicit State(Look function) : look(std::move(function)) {}
  const Look look;
  std::mutex mutex;
  std::map<std::string, std::vector<Tell>> waiting;  // by host: each has a thread at work

  void answer(const std::string& host, const Answer& found) {
    std::vector<Tell> tells;
    {
      const std::lock_guard lock(mutex);
      tells = std::move(waiting.extract(host).mapped());
    }
    for (const Tell& tell : tells) tell(found);
  }
};

NameLookups::NameLookups(Look look) : state_(std::make_shared<State>(std::move(look))) {}

NameLookups& NameLookups::of_process() {
  // Never destroyed: a look-up may still hang when the process ends.
  static NameLookups* const lookups = new NameLookups(look_up);
  return *lookups;
}

void NameLookups::find(const std::string& host, Tell tell) {
  {
    const std::lock_guard lock(state_->mutex);
    const auto [at, is_first] = state_->waiting.try_emplace(host);
    at->second.push_back(std::move(tell));
    if (!is_first) return;
  }
  try {
    std::thread([state = state_, host] { state->answer(host, state->look(host)); }).detach();
  } catch (const std::system_error& error) {
    state_->answer(host, Answer{{}, std::string("cannot start a thread for the look-up: ") + error.what()});
  }
}

}  // namespace mosaic::pool
