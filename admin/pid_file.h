#pragma once
// The process ID in a file, for init systems; there while the object lives.

#include <string>

#include "routing/result.h"

namespace mosaic::admin {

class PidFile {
 public:
  PidFile() = default;  // none
  ~PidFile();
  PidFile(const PidFile&) = delete;
  PidFile& operator=(const PidFile&) = delete;

  // Errors: cannot be written, or the process that it names runs. An empty path is none.
  routing::Status write(const std::string& path);

 private:
  std::string path_;
};

}  // namespace mosaic::admin
