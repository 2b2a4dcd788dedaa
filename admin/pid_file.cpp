#include "admin/pid_file.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "routing/sqlstate.h"

namespace mosaic::admin {

PidFile::~PidFile() {
  if (!path_.empty()) unlink(path_.c_str());
}

routing::Status PidFile::write(const std::string& path) {
  if (path.empty()) return {};
  pid_t other = 0;
  std::ifstream(path) >> other;
  if (other > 0 && other != getpid() && (kill(other, 0) == 0 || errno == EPERM))
    return routing::Error{routing::sqlstate::kConfigError, fmt::format("process {} of the PID file {} is running", other, path), "",
                          "stop it, or remove the file if that is no Mosaic"};
  std::ofstream file(path, std::ios::trunc);
  file << getpid() << '\n' << std::flush;
  if (!file)
    return routing::Error{routing::sqlstate::kConfigError, "cannot write the PID file " + path, std::strerror(errno), "check [mosaic] pid_file"};
  path_ = path;
  return {};
}

}  // namespace mosaic::admin
