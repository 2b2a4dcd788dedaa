#pragma once
// The last shard map on disk, from which a proxy starts while the catalog is down. One file in state_dir,
// replaced atomically; the first line carries a format version and a checksum, the rest is JSON that a human
// can read.

#include <chrono>
#include <string>

#include "admin/catalog/catalog_state.h"
#include "routing/result.h"

namespace mosaic::admin {

struct StoredMap {
  CatalogState state;
  std::chrono::system_clock::time_point written_at;
};

class MapFile {
 public:
  explicit MapFile(std::string state_dir);

  const std::string& path() const { return path_; }
  // Makes the folder where it is missing. After success the new map survives a power cut; after an error the
  // old one stands.
  routing::Status write(const StoredMap& map) const;
  // Errors: no file yet (is_missing()), unreadable, cut, changed, of another version.
  routing::Result<StoredMap> read() const;
  bool is_missing() const;

 private:
  std::string folder_;
  std::string path_;
};

}  // namespace mosaic::admin
