#include "proxy/descriptor_limit.h"

#include <sys/resource.h>

#include <algorithm>

namespace mosaic::proxy {

namespace {

constexpr uint64_t kPerWorker = 8;   // loop, mailbox, listener, what is opened in passing
constexpr uint64_t kPerNode = 4;     // probe, cancel requests, catalog, name look-ups
constexpr uint64_t kOfProcess = 32;  // log, libraries, console sessions, files that are read at RELOAD
constexpr uint64_t kLoggingInMin = 8;

}  // namespace

uint64_t raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;  // what POSIX systems start with
  if (limit.rlim_cur < limit.rlim_max) {
    rlimit raised = limit;
    raised.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  }
  return limit.rlim_cur;
}

DescriptorPlan plan_descriptors(uint64_t limit, const ProxySettings& settings, uint32_t workers) {
  const auto nodes =
      static_cast<uint64_t>(std::count_if(settings.nodes.begin(), settings.nodes.end(),
                                          [](const pool::NodeSettings& node) { return !node.is_removed; }));
  const uint64_t servers =
      nodes * (uint64_t{settings.pool.default_pool_size} + settings.pool.reserve_pool_size);
  DescriptorPlan plan;
  plan.limit = limit;
  plan.kept = kOfProcess + kPerWorker * workers + kPerNode * nodes + servers + servers / 4;
  const uint64_t wanted = plan.kept + settings.max_client_conn + settings.max_client_conn / 8 + kLoggingInMin;
  plan.is_for_everybody = wanted <= limit;
  // Servers without clients are of as little use as clients without servers.
  plan.kept = std::min(plan.kept, limit / 2);
  plan.connections = limit - plan.kept;
  const uint64_t logging_in = std::max(kLoggingInMin, plan.connections / 8);
  const uint64_t most = plan.connections > logging_in ? plan.connections - logging_in : 1;
  plan.clients = static_cast<uint32_t>(std::min<uint64_t>(most, settings.max_client_conn));
  return plan;
}

}  // namespace mosaic::proxy
