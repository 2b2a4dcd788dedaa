#pragma once
// Who may log in, and to what: the part of the settings that Login reads. Immutable; RELOAD swaps in another,
// and a login under way ends by the rules it began with.

#include <memory>
#include <string>
#include <vector>

#include "proxy/postgres/login/auth_file.h"
#include "proxy/proxy_settings.h"

namespace mosaic::proxy {

struct LoginRules {
  AuthType auth_type = AuthType::kScramSha256;
  std::string database;                       // the application's
  std::vector<std::string> admin_users;       // console: everything
  std::vector<std::string> stats_users;       // console: SHOW only
  std::shared_ptr<const AuthFile> auth_file;  // may be absent with kTrust only
};

}  // namespace mosaic::proxy
