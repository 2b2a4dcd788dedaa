#pragma once
// The users that may log in and their secrets: PgBouncer's auth_file. Read at start and at RELOAD; immutable,
// so that all workers share one. Never logs or repeats a secret, also not in errors.

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/postgres/login/scram.h"
#include "routing/result.h"

namespace mosaic::proxy {

struct AuthUser {
  std::optional<ScramVerifier> verifier;  // nothing: this user can not log in (md5 or empty password)
  std::string plaintext;                  // for logins to the nodes; empty when the file holds only a hash
};

// What a login needs to know of one name, known or not.
struct ScramCredential {
  ScramVerifier verifier;
  bool can_succeed = false;
};

class AuthFile {
 public:
  // Lines of `"user" "password"`, quotes doubled inside quotes, the rest of a line ignored; comments begin
  // with ; or
  // #. Errors: all of them at once, with line numbers. `secret` makes salts and must stay the same in one
  // process, over reloads too. Slow: about a millisecond for each plaintext password that `previous` does not
  // have as well.
  static routing::Result<AuthFile> parse(std::string_view text, const ScramKey& secret,
                                         const AuthFile* previous = nullptr);
  // Reads the file and parses it; errors name the path.
  static routing::Result<AuthFile> load(const std::string& path, const ScramKey& secret,
                                        const AuthFile* previous = nullptr);

  const AuthUser* find(std::string_view user) const;
  // Never fails and does equal work for every name: one that is not here gets a challenge like those of the
  // file's users, always the same, that no password answers.
  ScramCredential credential_of(std::string_view user) const;

  // Users who can log in here, but of whom the file has no password for the nodes. Sorted.
  std::vector<std::string> users_without_password() const;

  size_t size() const { return users_.size(); }
  std::vector<std::string> names() const;
  const std::vector<std::string>& warnings() const { return warnings_; }  // for the log; one line each

 private:
  std::map<std::string, AuthUser, std::less<>> users_;
  std::vector<std::string> usable_;  // names that have a verifier, in order
  std::vector<std::string> warnings_;
  ScramKey secret_{};
};

}  // namespace mosaic::proxy
