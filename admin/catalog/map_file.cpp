#include "admin/catalog/map_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "admin/catalog/catalog_json.h"
#include "routing/sqlstate.h"

namespace mosaic::admin {

namespace {

using routing::Error;
using routing::Result;
using routing::Status;

constexpr int kFormat = 1;

uint64_t checksum_of(std::string_view text) { return XXH3_64bits(text.data(), text.size()); }

// The checksum covers all that stands behind it.
std::string with_header(const std::string& rest) {
  return fmt::format("mosaic-map {} {:016x} {}", kFormat, checksum_of(rest), rest);
}

// A descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() {
    if (value_ >= 0) close(value_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return value_; }

 private:
  int value_;
};

bool write_all(int descriptor, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = write(descriptor, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  return true;
}

bool sync_folder(const std::string& folder) {
  const Descriptor descriptor(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return descriptor.get() >= 0 && fsync(descriptor.get()) == 0;
}

}  // namespace

MapFile::MapFile(std::string state_dir) : folder_(std::move(state_dir)), path_(folder_ + "/last_map.json") {}

Status MapFile::write(const StoredMap& map) const {
  const auto failed = [&](const std::string& what) {
    return Error{routing::sqlstate::kConfigError, "cannot keep the shard map in " + path_,
                 what + ": " + std::strerror(errno),
                 "check [mosaic] state_dir: the folder, its owner and free space"};
  };
  std::error_code folder_error;
  std::filesystem::create_directories(folder_, folder_error);
  if (folder_error) {
    errno = folder_error.value();
    return failed("making the folder");
  }
  const auto written_ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(map.written_at.time_since_epoch()).count();
  const std::string text = with_header(fmt::format("{}\n{}\n", written_ms, to_json(map.state)));
  // Several proxies may share a folder: each writes a file of its own and the last rename wins.
  const std::string temporary = fmt::format("{}.{}", path_, getpid());
  {
    const Descriptor file(open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (file.get() < 0) return failed("opening");
    if (!write_all(file.get(), text) || fsync(file.get()) != 0) {
      const Status status = failed("writing");
      unlink(temporary.c_str());
      return status;
    }
  }
  if (rename(temporary.c_str(), path_.c_str()) != 0) return failed("renaming");
  if (!sync_folder(folder_)) return failed("syncing the folder");
  return {};
}

bool MapFile::is_missing() const {
  std::error_code ignored;
  return !std::filesystem::exists(path_, ignored);
}

Result<StoredMap> MapFile::read() const {
  const auto refuse = [&](const std::string& why, const std::string& hint) {
    return Error{routing::sqlstate::kConfigError, "no shard map can be read from " + path_, why, hint};
  };
  std::ifstream file(path_, std::ios::binary);
  if (!file) return refuse(std::strerror(errno), "the catalog must be reachable for the first start");
  std::ostringstream stream;
  stream << file.rdbuf();
  const std::string text = stream.str();

  int format = 0, rest_at = 0;
  unsigned long long checksum = 0;
  if (std::sscanf(text.c_str(), "mosaic-map %d %16llx %n", &format, &checksum, &rest_at) != 2 || rest_at == 0)
    return refuse("it does not begin like a shard map",
                  "remove the file; it is written again once the catalog is reachable");
  if (format != kFormat)
    return refuse(fmt::format("it has format {}, this Mosaic reads format {}", format, kFormat),
                  "remove the file; it is written again once the catalog is reachable");
  const std::string rest = text.substr(static_cast<size_t>(rest_at));
  if (checksum_of(rest) != checksum)
    return refuse("its checksum does not fit: it was cut or changed",
                  "remove the file; it is written again once the catalog is reachable");
  const size_t line_end = rest.find('\n');
  auto state = parse_catalog_json(std::string_view(rest).substr(line_end + 1));
  if (!state) return state.error();
  const std::chrono::milliseconds written(std::strtoll(rest.c_str(), nullptr, 10));
  return StoredMap{std::move(*state), std::chrono::system_clock::time_point(written)};
}

}  // namespace mosaic::admin
