#include "proxy/postgres/login/auth_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "routing/sqlstate.h"

namespace mosaic::proxy {

namespace {

using routing::Error;
using routing::Result;

constexpr std::string_view kBlanks = " \t\r\f\v";

void skip_blanks(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(kBlanks), line.size()));
}

// Takes "..." off the front, doubled quotes undone; nothing when there is no such thing.
std::optional<std::string> take_quoted(std::string_view& line) {
  if (!line.starts_with('"')) return std::nullopt;
  std::string field;
  for (size_t i = 1; i < line.size(); ++i) {
    if (line[i] == '"') {
      if (line.substr(i + 1, 1) != "\"") {
        line.remove_prefix(i + 1);
        return field;
      }
      ++i;
    }
    field += line[i];
  }
  return std::nullopt;
}

enum class SecretKind : uint8_t { kEmpty, kMd5, kScram, kPlaintext };

// As PostgreSQL tells them apart (get_password_type), but for a damaged SCRAM secret, which PostgreSQL takes
// for plaintext: "md5" and 32 hexadecimal digits.
SecretKind kind_of(std::string_view password) {
  if (password.empty()) return SecretKind::kEmpty;
  if (password.starts_with("SCRAM-SHA-256$")) return SecretKind::kScram;
  const bool is_md5 = password.size() == 35 && password.starts_with("md5") &&
                      password.find_first_not_of("0123456789abcdef", 3) == std::string_view::npos;
  return is_md5 ? SecretKind::kMd5 : SecretKind::kPlaintext;
}

// Nothing, and errno, when it can not be read.
std::optional<std::string> read_whole_file(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "rbe");
  if (file == nullptr) return std::nullopt;
  std::string text;
  char block[4096];
  size_t count;
  while ((count = std::fread(block, 1, sizeof block, file)) > 0) text.append(block, count);
  const int failure = std::ferror(file) ? errno : 0;
  std::fclose(file);
  errno = failure;
  return failure == 0 ? std::optional(std::move(text)) : std::nullopt;
}

}  // namespace

Result<AuthFile> AuthFile::parse(std::string_view text, const ScramKey& secret, const AuthFile* previous) {
  AuthFile file;
  file.secret_ = secret;
  std::vector<std::string> errors;
  int number = 0;
  while (!text.empty()) {
    ++number;
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));

    skip_blanks(line);
    if (line.empty() || line[0] == ';' || line[0] == '#') continue;
    const auto name = take_quoted(line);
    if (!name || name->empty()) {
      errors.push_back(fmt::format("line {}: expected a user name in double quotes", number));
      continue;
    }
    skip_blanks(line);
    auto password = take_quoted(line);
    if (!password) {
      errors.push_back(
          fmt::format("line {}: expected a password in double quotes for user \"{}\"", number, *name));
      continue;
    }

    const auto warn = [&](std::string_view what) {
      file.warnings_.push_back(fmt::format("line {}: user \"{}\" {}", number, *name, what));
    };
    AuthUser user;
    const SecretKind kind = kind_of(*password);
    if (kind == SecretKind::kScram) {
      user.verifier = parse_scram_secret(*password);
      if (!user.verifier) {
        errors.push_back(
            fmt::format("line {}: the password of user \"{}\" is no valid SCRAM secret; expected "
                        "SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>",
                        number, *name));
        continue;
      }
    } else if (kind == SecretKind::kPlaintext) {
      const bool is_same_secret = previous != nullptr && previous->secret_ == secret;
      const AuthUser* known = is_same_secret ? previous->find(*name) : nullptr;
      user =
          known != nullptr && known->plaintext == *password
              ? *known
              : AuthUser{derive_scram_verifier(*password, derive_scram_salt(secret, *name, kScramSaltBytes),
                                               kScramIterations),
                         std::move(*password)};
    } else {
      warn(kind == SecretKind::kMd5 ? "has an md5 password and can not log in: store the plaintext or the "
                                      "SCRAM secret from pg_authid"
                                    : "has an empty password and can not log in");
    }
    if (file.users_.contains(*name)) warn("stands here again: this line counts");
    file.users_.insert_or_assign(*name, std::move(user));
  }
  if (!errors.empty()) {
    return Error{routing::sqlstate::kConfigError,
                 fmt::format("auth file: {} error{}", errors.size(), errors.size() == 1 ? "" : "s"),
                 fmt::format("{}", fmt::join(errors, "; ")), "each line is \"user\" \"password\""};
  }
  for (const auto& [name, user] : file.users_) {
    if (user.verifier) file.usable_.push_back(name);
  }
  return file;
}

Result<AuthFile> AuthFile::load(const std::string& path, const ScramKey& secret, const AuthFile* previous) {
  const auto text = read_whole_file(path);
  if (!text) {
    return Error{routing::sqlstate::kConfigError, fmt::format("can not read auth file {}", path),
                 std::strerror(errno), "auth_file must name a file that Mosaic may read"};
  }
  Result<AuthFile> file = parse(*text, secret, previous);
  if (file) return file;
  Error error = file.error();
  error.message = fmt::format("{}: {}", path, error.message);
  return error;
}

std::vector<std::string> AuthFile::names() const {
  std::vector<std::string> names;
  for (const auto& [name, user] : users_) names.push_back(name);
  return names;
}

const AuthUser* AuthFile::find(std::string_view user) const {
  const auto found = users_.find(user);
  return found == users_.end() ? nullptr : &found->second;
}

std::vector<std::string> AuthFile::users_without_password() const {
  std::vector<std::string> names;
  for (const std::string& name : usable_) {
    if (find(name)->plaintext.empty()) names.push_back(name);
  }
  return names;
}

ScramCredential AuthFile::credential_of(std::string_view user) const {
  // Made for known users as well, so that time does not tell which ones are. The mock's iterations and salt
  // length are those of some real user, picked by the name: a file of 15000-iteration secrets must not make
  // the one 4096-iteration challenge stand out.
  ScramCredential credential;
  const std::string pick = derive_scram_salt(secret_, user, 16 + 2);
  size_t salt_bytes = kScramSaltBytes;
  if (!usable_.empty()) {
    const size_t draw = static_cast<uint8_t>(pick[16]) << 8 | static_cast<uint8_t>(pick[17]);
    const ScramVerifier& model = *users_.find(usable_[draw % usable_.size()])->second.verifier;
    credential.verifier.iterations = model.iterations;
    salt_bytes = model.salt.size();
  }
  credential.verifier.salt = derive_scram_salt(secret_, user, salt_bytes);

  const AuthUser* known = find(user);
  if (known != nullptr && known->verifier) {
    credential.verifier = *known->verifier;
    credential.can_succeed = true;
  }
  return credential;
}

}  // namespace mosaic::proxy
