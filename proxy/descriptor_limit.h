#pragma once
// How many files the process may have open (RLIMIT_NOFILE), and for whom they are: a client too many is told
// so while there are still descriptors for servers, the console and the catalog.

#include <cstdint>

#include "proxy/proxy_settings.h"

namespace mosaic::proxy {

struct DescriptorPlan {
  uint64_t limit = 0;            // of the process
  uint64_t kept = 0;             // for all that are no clients
  uint64_t connections = 0;      // of clients, logged in or not; one more is turned away at once
  uint32_t clients = 0;          // of them logged in; the rest is for those that log in or are refused
  bool is_for_everybody = true;  // max_client_conn clients fit, and all pools of one user
};

// Raises the soft limit to the hard one, as far as it goes; returns the soft limit of now.
uint64_t raise_descriptor_limit();
// Pure. `workers`: how many there are.
DescriptorPlan plan_descriptors(uint64_t limit, const ProxySettings& settings, uint32_t workers);

}  // namespace mosaic::proxy
