#include "proxy/postgres/client_clock.h"

#include <fmt/format.h>

#include <algorithm>

#include "routing/sqlstate.h"

namespace mosaic::proxy {

using routing::Error;
namespace sqlstate = routing::sqlstate;

namespace {

std::string limit_text(std::string_view name, uint64_t limit_ms) {
  return fmt::format("{} = {} s", name, static_cast<double>(limit_ms) / 1000.0);
}

}  // namespace

void ClientClock::on_turn_end(bool is_running, uint64_t now_ms) {
  if (is_running && busy_since_ms_ == 0) busy_since_ms_ = now_ms;
  if (!is_running && busy_since_ms_ != 0) {
    busy_since_ms_ = 0;
    idle_since_ms_ = now_ms;
  }
}

std::string_view ClientClock::limit_of(Doing doing) {
  switch (doing) {
    case Doing::kLoggingIn:
      return "client_login_timeout";
    case Doing::kRunning:
      return "query_timeout";
    case Doing::kIdleInTransaction:
      return "idle_transaction_timeout";
    case Doing::kIdle:
      return "client_idle_timeout";
    case Doing::kOther:
      break;
  }
  return "";
}

std::optional<Error> ClientClock::overdue(Doing doing, const ProxySettings& settings, uint64_t now_ms) const {
  const uint64_t quiet_since_ms = std::max(active_ms_, idle_since_ms_);
  switch (doing) {
    case Doing::kLoggingIn:
      // However it goes on: who sends a byte now and then has not logged in either.
      if (!is_over(idle_since_ms_, settings.client_login_timeout_ms, now_ms)) return std::nullopt;
      return Error{sqlstate::kProtocolViolation, "login did not finish in time",
                   limit_text(limit_of(doing), settings.client_login_timeout_ms), ""};
    case Doing::kRunning:
      if (busy_since_ms_ == 0 || !is_over(busy_since_ms_, settings.query_timeout_ms, now_ms))
        return std::nullopt;
      return Error{sqlstate::kQueryCanceled, "query timeout",
                   limit_text(limit_of(doing), settings.query_timeout_ms), ""};
    case Doing::kIdleInTransaction:
      if (!is_over(quiet_since_ms, settings.idle_transaction_timeout_ms, now_ms)) return std::nullopt;
      return Error{sqlstate::kIdleInTransactionTimeout, "idle transaction timeout",
                   limit_text(limit_of(doing), settings.idle_transaction_timeout_ms),
                   "end transactions before waiting for something else"};
    case Doing::kIdle:
      if (!is_over(quiet_since_ms, settings.client_idle_timeout_ms, now_ms)) return std::nullopt;
      return Error{sqlstate::kAdminShutdown, "client idle timeout",
                   limit_text(limit_of(doing), settings.client_idle_timeout_ms), ""};
    case Doing::kOther:
      break;
  }
  return std::nullopt;
}

}  // namespace mosaic::proxy
