#pragma once
// The client's side of a login to a PostgreSQL node, from the start-up packet to ReadyForQuery (PostgreSQL
// manual, "Message Flow", Start-up): trust, password, md5 and SCRAM-SHA-256. Sans-I/O: bytes in, bytes and a
// state out. ServerConnector calls it, has the socket and keeps the time limit.

#include <cstdint>
#include <string>
#include <string_view>

#include "pool/postgres/name_values.h"
#include "pool/postgres/scram_keys.h"
#include "routing/byte_buffer.h"
#include "routing/result.h"

namespace mosaic::pool {

// What CancelRequest needs; told once, at the end of the login (BackendKeyData).
struct BackendKey {
  uint32_t process_id = 0;
  uint32_t secret = 0;
};

class ServerLogin {
 public:
  struct Credentials {
    std::string user;
    std::string database;
    std::string password;  // empty: none is known
  };
  enum class State : uint8_t {
    kMore,    // send what was appended, call again with more bytes
    kReady,   // the session is idle and everything that came has been taken
    kFailed,  // error() says why: close
  };

  // `nonce`: from make_scram_nonce().
  ServerLogin(Credentials credentials, std::string nonce);
  ~ServerLogin();
  ServerLogin(const ServerLogin&) = delete;
  ServerLogin& operator=(const ServerLogin&) = delete;

  void begin(routing::ByteBuffer& to_server);
  // Consumes what it understands of `input`. Not to be called after any other state than kMore.
  State on_bytes(routing::ByteBuffer& input, routing::ByteBuffer& to_server);

  const NameValues::Entries& parameters() const { return parameters_; }  // kReady: as last reported
  BackendKey backend_key() const { return backend_key_; }                // kReady; zero: the server gave none
  // kFailed. What the server said comes with its SQLSTATE; what makes no sense is kProtocolViolation.
  const routing::Error& error() const { return error_; }

 private:
  enum class Scram : uint8_t { kNone, kFirstSent, kFinalSent, kProven };

  void on_frame(char type, std::string_view body, routing::ByteBuffer& to_server);
  void on_authentication(std::string_view body, routing::ByteBuffer& to_server);
  void begin_scram(std::string_view mechanisms, routing::ByteBuffer& to_server);
  void answer_scram(std::string_view server_first, routing::ByteBuffer& to_server);
  void check_scram(std::string_view server_final);
  bool has_password();
  void on_parameter(std::string_view body);
  void fail(std::string message, std::string detail = {}, std::string hint = {});

  Credentials credentials_;
  std::string nonce_;
  State state_ = State::kMore;
  bool is_authenticated_ = false;
  bool is_ready_ = false;
  Scram scram_ = Scram::kNone;
  ScramKey server_signature_{};  // what the server must answer to show that it knows the password
  NameValues::Entries parameters_;
  BackendKey backend_key_;
  routing::Error error_;
};

}  // namespace mosaic::pool
