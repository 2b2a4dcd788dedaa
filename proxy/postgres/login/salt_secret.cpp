#include "proxy/postgres/login/salt_secret.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>

#include "pool/random.h"
#include "routing/sqlstate.h"

namespace mosaic::proxy {

namespace {

using routing::Error;
using routing::Result;

Error failure(const std::string& path, const std::string& what, const std::string& why) {
  return Error{
      routing::sqlstate::kConfigError, fmt::format("cannot keep the secret of the login's salts in {}", path),
      fmt::format("{}: {}", what, why),
      "check [mosaic] state_dir: the folder, its owner and free space; a damaged file can be removed"};
}

// A file of exactly one key in base64 and a line end; nothing, and errno, when it can not be read.
std::optional<std::string> read_file(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return std::nullopt;
  char bytes[128];
  const ssize_t count = read(fd, bytes, sizeof bytes);
  const int reason = errno;
  close(fd);
  errno = reason;
  return count < 0 ? std::nullopt : std::optional(std::string(bytes, static_cast<size_t>(count)));
}

Result<ScramKey> read_secret(const std::string& path) {
  const auto text = read_file(path);
  if (!text) return failure(path, "reading", std::strerror(errno));
  const auto key =
      text->ends_with('\n') ? pool::decode_scram_key(text->substr(0, text->size() - 1)) : std::nullopt;
  if (!key) return failure(path, "reading", "it is not 32 bytes of base64 and a line end");
  return *key;
}

bool write_file(const std::string& path, const std::string& text) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return false;
  const bool is_ok =
      write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && fsync(fd) == 0;
  const int reason = errno;
  close(fd);
  errno = reason;
  return is_ok;
}

}  // namespace

Result<ScramKey> load_or_make_salt_secret(const std::string& folder) {
  const std::string path = folder + "/salt_secret";
  if (access(path.c_str(), F_OK) == 0) return read_secret(path);
  std::error_code folder_error;
  std::filesystem::create_directories(folder, folder_error);
  if (folder_error) return failure(path, "making the folder", folder_error.message());
  ScramKey fresh;
  pool::fill_random(fresh);
  const std::string temporary = fmt::format("{}.{:016x}", path, pool::random_u64());
  if (!write_file(temporary, pool::encode_base64(pool::view_of(fresh)) + '\n')) {
    const Error error = failure(path, "writing", std::strerror(errno));
    unlink(temporary.c_str());
    return error;
  }
  // Whole or not at all, and the first one counts: whoever comes second reads it.
  const int status = link(temporary.c_str(), path.c_str());
  const int reason = errno;
  unlink(temporary.c_str());
  if (status != 0 && reason != EEXIST) return failure(path, "linking", std::strerror(reason));
  return read_secret(path);
}

}  // namespace mosaic::proxy
