#pragma once
// One client from its first byte to AuthenticationOk: encryption requests, cancel requests, the startup
// packet and authentication (PostgreSQL manual, "Message Flow", Start-up). Sans-I/O: bytes in, bytes and a
// state out. Knows no sockets, pools or sessions; the worker calls it, keeps its time limit, and closes the
// socket when it rejects.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/postgres/login/login_rules.h"
#include "proxy/postgres/login/scram.h"
#include "proxy/postgres/login/startup_options.h"
#include "routing/byte_buffer.h"
#include "routing/postgres/wire/client_messages.h"
#include "routing/result.h"

namespace mosaic::proxy {

// Longest SASL message that a client may send (PostgreSQL's PG_MAX_SASL_MESSAGE_LENGTH).
inline constexpr size_t kSaslBytesMax = 1024;

// What the client asked for.
struct LoginRequest {
  std::string user;
  std::string database;
  std::string application_name;   // also among the settings
  std::vector<Setting> settings;  // to be applied in order, a later one wins; `options` taken apart
  bool is_console = false;
  bool is_console_admin = false;  // else: SHOW only
};

class Login {
 public:
  enum class State : uint8_t {
    kMore,           // send what was appended, call again with more bytes
    kAuthenticated,  // AuthenticationOk is appended; what follows it is the session's or the console's
    kCancelRequest,  // look cancel_process_id() and cancel_secret() up, close without an answer
    kRejected,       // send what is appended, an ErrorResponse if the client can read one, and close
    kLeft,           // the client says that it goes: close without an answer
  };

  // `server_nonce`: from make_scram_nonce().
  Login(std::shared_ptr<const LoginRules> rules, std::string server_nonce);

  // Consumes what it understands of `input`; what stands behind the login's last message stays. At most
  // kStartupBytesMax bytes need to be held back unconsumed. Not to be called after any other state than
  // kMore.
  State on_bytes(routing::ByteBuffer& input, routing::ByteBuffer& to_client);

  const LoginRequest& request() const { return request_; }  // kAuthenticated; the user once it is known
  uint32_t cancel_process_id() const { return cancel_process_id_; }  // kCancelRequest
  uint32_t cancel_secret() const { return cancel_secret_; }          // kCancelRequest
  const routing::Error& error() const { return error_; }             // kRejected: what the client was told
  // kRejected: what only the operator may know ("user is not in the auth file"); may be empty. Holds no
  // secret.
  std::string_view reason_for_log() const { return reason_for_log_; }

 private:
  enum class Phase : uint8_t { kStartup, kSaslInitial, kSaslFirst, kSaslFinal };

  bool take_startup_packet(routing::ByteBuffer& input, routing::ByteBuffer& to_client);
  void on_encryption_request(const routing::StartupMessage& message, bool has_more,
                             routing::ByteBuffer& to_client);
  void on_startup(const routing::StartupMessage& message, routing::ByteBuffer& to_client);
  routing::Status read_parameters(const routing::StartupMessage& message);
  bool take_sasl_message(routing::ByteBuffer& input, routing::ByteBuffer& to_client);
  void on_sasl_initial(std::string_view body, routing::ByteBuffer& to_client);
  void on_sasl_first(std::string_view message, routing::ByteBuffer& to_client);
  void on_sasl_final(std::string_view message, routing::ByteBuffer& to_client);
  routing::Error wrong_password() const;
  void admit(routing::ByteBuffer& to_client);
  void reject(routing::Error error, routing::ByteBuffer& to_client, std::string_view reason_for_log = {});

  std::shared_ptr<const LoginRules> rules_;
  std::string server_nonce_;
  State state_ = State::kMore;
  Phase phase_ = Phase::kStartup;
  bool has_asked_ssl_ = false;
  bool has_asked_gss_ = false;
  LoginRequest request_;
  std::optional<ScramExchange> exchange_;
  uint32_t cancel_process_id_ = 0;
  uint32_t cancel_secret_ = 0;
  routing::Error error_;
  std::string reason_for_log_;
};

}  // namespace mosaic::proxy
