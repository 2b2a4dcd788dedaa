#include "pool/postgres/libpq_password.h"

#include <libpq-fe.h>

#include <memory>

namespace mosaic::pool {

std::string find_libpq_password(const NodeAddress& node, const std::string& user) {
  // libpq looks the password up before it looks at the address, and an address that is none ends it there.
  const std::string port = std::to_string(node.port);
  const char* keywords[] = {"host", "hostaddr", "port", "dbname", "user", nullptr};
  const char* values[] = {node.host.c_str(),   "no address", port.c_str(),
                          node.dbname.c_str(), user.c_str(), nullptr};
  const std::unique_ptr<PGconn, void (*)(PGconn*)> connection(PQconnectStartParams(keywords, values, 0),
                                                              PQfinish);
  const char* password = connection ? PQpass(connection.get()) : nullptr;
  return password != nullptr ? password : "";
}

}  // namespace mosaic::pool
