// Login against the client library that nearly every driver is built on: libpq over a real socket.

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <thread>

#include "proxy/postgres/login/login.h"
#include "routing/postgres/wire/messages.h"

namespace mosaic::proxy {
namespace {

// Serves one client with Login and, once it is in, the least that libpq needs to be content.
class OneLoginServer {
 public:
  explicit OneLoginServer(AuthType auth_type) {
    rules_.auth_type = auth_type;
    rules_.database = "photos";
    auto file = AuthFile::parse("\"app\" \"p\xc3\xa4ncil\"", ScramKey{});
    rules_.auth_file = std::make_shared<AuthFile>(std::move(*file));

    listener_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(listener_, 1), 0);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~OneLoginServer() {
    thread_.join();
    close(listener_);
  }
  std::string target(const std::string& more) const {
    return "host=127.0.0.1 port=" + std::to_string(port_) + " connect_timeout=10 " + more;
  }

 private:
  void serve() {
    const int fd = accept(listener_, nullptr, nullptr);
    Login login(std::make_shared<LoginRules>(rules_), make_scram_nonce());
    routing::ByteBuffer input, output;
    auto state = Login::State::kMore;
    while (state == Login::State::kMore) {
      char bytes[512];
      const ssize_t count = read(fd, bytes, sizeof bytes);
      if (count <= 0) break;
      input.append(bytes, static_cast<size_t>(count));
      state = login.on_bytes(input, output);
      if (state == Login::State::kAuthenticated) {
        routing::append_parameter_status(output, "server_version", "15.0");
        routing::append_backend_key(output, 1, 2);
        routing::append_ready(output, 'I');
      }
      EXPECT_EQ(write(fd, output.data(), output.size()), static_cast<ssize_t>(output.size()));
      output.clear();
    }
    close(fd);
  }

  LoginRules rules_;
  int listener_ = -1;
  uint16_t port_ = 0;
  std::thread thread_;
};

// Empty when the login succeeded.
std::string connect_error(const std::string& target) {
  PGconn* connection = PQconnectdb(target.c_str());
  const std::string error = PQstatus(connection) == CONNECTION_OK ? "" : PQerrorMessage(connection);
  PQfinish(connection);
  return error;
}

TEST(LoginWithLibpq, accepts_the_right_password) {
  OneLoginServer server(AuthType::kScramSha256);
  EXPECT_EQ(connect_error(server.target("user=app dbname=photos password=p\xc3\xa4ncil sslmode=prefer")), "");
}

TEST(LoginWithLibpq, accepts_trust_with_encryption_asked_for_first) {
  OneLoginServer server(AuthType::kTrust);
  EXPECT_EQ(
      connect_error(server.target("user=x dbname=photos sslmode=prefer gssencmode=prefer options='-c a=b'")),
      "");
}

TEST(LoginWithLibpq, refuses_a_wrong_password_with_postgresqls_words) {
  OneLoginServer server(AuthType::kScramSha256);
  const std::string error = connect_error(server.target("user=app dbname=photos password=x sslmode=disable"));
  EXPECT_NE(error.find("FATAL:  password authentication failed for user \"app\""), std::string::npos)
      << error;
}

TEST(LoginWithLibpq, refuses_another_database) {
  OneLoginServer server(AuthType::kTrust);
  const std::string error = connect_error(server.target("user=app dbname=other sslmode=disable"));
  EXPECT_NE(error.find("database \"other\" does not exist"), std::string::npos) << error;
}

TEST(LoginWithLibpq, can_not_serve_a_client_that_requires_encryption) {
  OneLoginServer server(AuthType::kTrust);
  const std::string error = connect_error(server.target("user=app dbname=photos sslmode=require"));
  EXPECT_NE(error.find("server does not support SSL"), std::string::npos) << error;
}

}  // namespace
}  // namespace mosaic::proxy
