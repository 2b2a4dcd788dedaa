#include "proxy/postgres/login/login.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>

#include "routing/postgres/wire/frame.h"
#include "routing/postgres/wire/messages.h"
#include "routing/sqlstate.h"

namespace mosaic::proxy {

namespace {

using routing::ByteBuffer;
using routing::Error;
using routing::StartupMessage;
namespace sqlstate = routing::sqlstate;

// Codes of the Authentication messages (PostgreSQL manual, "Message Formats").
constexpr uint32_t kAuthenticationOk = 0;
constexpr uint32_t kAuthenticationSasl = 10;
constexpr uint32_t kAuthenticationSaslContinue = 11;
constexpr uint32_t kAuthenticationSaslFinal = 12;
constexpr std::string_view kMechanism = "SCRAM-SHA-256";

// Length word and code: the shortest packet there is.
constexpr uint32_t kStartupBytesMin = 8;

// Terminate where a start-up packet should be, read as its length: 'X', and three bytes of the length behind
// it. Health checks and drivers that change their mind send it.
constexpr uint32_t kTerminateAsLength = uint32_t{'X'} << 24;

// What PostgreSQL and libpq carry in NegotiateProtocolVersion: the whole version, not its minor part alone.
constexpr uint32_t kProtocolVersion = 3u << 16;

Error violation(std::string message, std::string detail = {}) {
  return Error{sqlstate::kProtocolViolation, std::move(message), std::move(detail),
               "expected a PostgreSQL client speaking protocol 3.0"};
}

bool is_console(std::string_view database) { return database == "mosaic" || database == "pgbouncer"; }

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// The values by which PostgreSQL says "no replication" (its boolean "off", by any unique prefix).
bool is_off(std::string_view value) {
  return value == "0" || value == "off" || value == "of" || value == "no" || value == "n" ||
         value == "false" || value == "fals" || value == "fal" || value == "fa" || value == "f";
}

bool is_protocol_option(std::string_view name) { return name.starts_with("_pq_."); }

}  // namespace

Login::Login(std::shared_ptr<const LoginRules> rules, std::string server_nonce)
    : rules_(std::move(rules)), server_nonce_(std::move(server_nonce)) {
  assert(rules_->auth_type == AuthType::kTrust || rules_->auth_file != nullptr);
}

Login::State Login::on_bytes(ByteBuffer& input, ByteBuffer& to_client) {
  assert(state_ == State::kMore);
  while (state_ == State::kMore) {
    const bool has_taken = phase_ == Phase::kStartup ? take_startup_packet(input, to_client)
                                                     : take_sasl_message(input, to_client);
    if (!has_taken) break;
  }
  return state_;
}

bool Login::take_startup_packet(ByteBuffer& input, ByteBuffer& to_client) {
  if (input.size() < 4) return false;
  const uint32_t length = routing::read_u32(input.data());
  if (length == kTerminateAsLength) {
    state_ = State::kLeft;
    return true;
  }
  if (length < kStartupBytesMin || length > routing::kStartupBytesMax) {
    // Whoever sends this speaks another protocol: PostgreSQL tells its log alone (ProcessStartupPacket in
    // postmaster.c).
    ByteBuffer unsent;
    reject(violation("invalid length of startup packet",
                     fmt::format("{} bytes; at most {} are accepted", length, routing::kStartupBytesMax)),
           unsent);
    return true;
  }
  if (input.size() < length) return false;

  const auto message = routing::parse_startup(input.view().substr(4, length - 4));
  if (!message) {
    reject(message.error(), to_client);
  } else if (message->kind == StartupMessage::Kind::kCancel) {
    cancel_process_id_ = message->process_id;
    cancel_secret_ = message->secret;
    state_ = State::kCancelRequest;
  } else if (message->kind == StartupMessage::Kind::kStartup) {
    on_startup(*message, to_client);
  } else {
    on_encryption_request(*message, input.size() > length, to_client);
  }
  input.consume(length);
  return true;
}

void Login::on_encryption_request(const StartupMessage& message, bool has_more, ByteBuffer& to_client) {
  const bool is_ssl = message.kind == StartupMessage::Kind::kSslRequest;
  bool& has_asked = is_ssl ? has_asked_ssl_ : has_asked_gss_;
  const std::string_view name = is_ssl ? "SSL" : "GSSAPI encryption";
  if (has_asked) return reject(violation(fmt::format("second {} request", name)), to_client);
  // What stands behind the request was sent before our answer: somebody put it in front of what the client
  // will send once it believes the connection encrypted (CVE-2021-23222).
  if (has_more) return reject(violation(fmt::format("received data behind an {} request", name)), to_client);
  has_asked = true;
  to_client.append_u8('N');
}

routing::Status Login::read_parameters(const StartupMessage& message) {
  std::vector<Setting> direct;
  for (const auto& [name, value] : message.parameters) {
    if (name == "user") {
      request_.user = value;
    } else if (name == "database") {
      request_.database = value;
    } else if (name == "replication") {
      if (is_off(value)) continue;
      return Error{sqlstate::kFeatureNotSupported, "replication connections are not supported",
                   fmt::format("the startup parameter replication is \"{}\"", value),
                   "connect to the PostgreSQL node itself"};
    } else if (name == "options") {
      auto settings = parse_startup_options(value);
      if (!settings) return settings.error();
      request_.settings = std::move(*settings);
    } else if (!is_protocol_option(name)) {
      Setting& setting = direct.emplace_back(name, value);
      for (char& c : setting.first) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
  }
  // PostgreSQL applies its command line first, so that a parameter of its own wins over the same in
  // `options`.
  for (Setting& setting : direct) request_.settings.push_back(std::move(setting));
  for (const Setting& setting : request_.settings) {
    if (setting.first == "application_name") request_.application_name = setting.second;
  }
  if (request_.user.empty()) {
    return Error{sqlstate::kInvalidAuthorization, "no PostgreSQL user name specified in startup packet", "",
                 "give a user in the connection string"};
  }
  if (request_.database.empty()) request_.database = request_.user;
  return {};
}

void Login::on_startup(const StartupMessage& message, ByteBuffer& to_client) {
  if (const auto status = read_parameters(message); !status) return reject(status.error(), to_client);

  std::vector<std::string_view> unknown_options;
  for (const auto& parameter : message.parameters) {
    if (is_protocol_option(parameter.first)) unknown_options.push_back(parameter.first);
  }
  if (message.minor > 0 || !unknown_options.empty()) {
    routing::append_negotiate_version(to_client, kProtocolVersion, unknown_options);
  }
  if (rules_->auth_type == AuthType::kTrust) return admit(to_client);

  ByteBuffer mechanisms;
  mechanisms.append_c_string(kMechanism);
  mechanisms.append_u8(0);
  routing::append_authentication(to_client, kAuthenticationSasl, mechanisms.view());
  phase_ = Phase::kSaslInitial;
}

bool Login::take_sasl_message(ByteBuffer& input, ByteBuffer& to_client) {
  const auto header = routing::find_frame_header(input.view());
  if (!header) return false;
  if (header->type != 'p') {
    reject(violation(fmt::format("expected a SASL response, got message type 0x{:02x}",
                                 static_cast<unsigned char>(header->type))),
           to_client);
    return true;
  }
  if (!routing::is_valid(*header) || header->body_bytes() > kSaslBytesMax) {
    // PostgreSQL keeps this for its log too, and the client is told what any wrong password is told.
    reject(
        wrong_password(), to_client,
        fmt::format("a SASL response of {} bytes; at most {} are accepted", header->length, kSaslBytesMax));
    return true;
  }
  if (input.size() < header->frame_bytes()) return false;

  const std::string_view body = input.view().substr(routing::kFrameHeaderBytes, header->body_bytes());
  if (phase_ == Phase::kSaslInitial) {
    on_sasl_initial(body, to_client);
  } else if (phase_ == Phase::kSaslFirst) {
    on_sasl_first(body, to_client);
  } else {
    on_sasl_final(body, to_client);
  }
  input.consume(header->frame_bytes());
  return true;
}

void Login::on_sasl_initial(std::string_view body, ByteBuffer& to_client) {
  routing::BodyReader reader(body);
  const std::string_view mechanism = reader.read_c_string();
  const uint32_t length = reader.read_u32();
  if (!reader.is_ok()) return reject(violation("invalid SASLInitialResponse message"), to_client);
  if (mechanism != kMechanism) {
    return reject(violation("client selected an invalid SASL authentication mechanism",
                            fmt::format("only {} is offered", kMechanism)),
                  to_client);
  }
  constexpr uint32_t kNoResponse = 0xffffffffu;
  if (length == kNoResponse && reader.is_at_end()) {
    routing::append_authentication(to_client, kAuthenticationSaslContinue);
    phase_ = Phase::kSaslFirst;
    return;
  }
  const std::string_view first = reader.read_bytes(length);
  if (!reader.is_ok() || !reader.is_at_end()) {
    return reject(violation("invalid SASLInitialResponse message"), to_client);
  }
  on_sasl_first(first, to_client);
}

void Login::on_sasl_first(std::string_view message, ByteBuffer& to_client) {
  ScramCredential credential = rules_->auth_file->credential_of(request_.user);
  if (!credential.can_succeed) {
    reason_for_log_ = rules_->auth_file->find(request_.user) == nullptr
                          ? "the user is not in the auth file"
                          : "the user's password in the auth file is of a kind that can not be used";
  }
  exchange_.emplace(std::move(credential.verifier), credential.can_succeed, server_nonce_);
  const auto answer = exchange_->on_client_first(message);
  if (!answer) return reject(answer.error(), to_client);
  routing::append_authentication(to_client, kAuthenticationSaslContinue, *answer);
  phase_ = Phase::kSaslFinal;
}

Error Login::wrong_password() const {
  return Error{sqlstate::kInvalidPassword,
               fmt::format("password authentication failed for user \"{}\"", request_.user), "", ""};
}

void Login::on_sasl_final(std::string_view message, ByteBuffer& to_client) {
  const auto verdict = exchange_->on_client_final(message);
  if (!verdict) return reject(verdict.error(), to_client);
  if (!verdict->is_accepted) {
    return reject(wrong_password(), to_client, "wrong password");
  }
  routing::append_authentication(to_client, kAuthenticationSaslFinal, verdict->message);
  admit(to_client);
}

// Only who has shown who they are learns which databases there are (PostgreSQL's order as well).
void Login::admit(ByteBuffer& to_client) {
  routing::append_authentication(to_client, kAuthenticationOk);
  if (is_console(request_.database)) {
    request_.is_console = true;
    request_.is_console_admin = contains(rules_->admin_users, request_.user);
    if (!request_.is_console_admin && !contains(rules_->stats_users, request_.user)) {
      return reject(Error{sqlstate::kInsufficientPrivilege,
                          fmt::format("user \"{}\" may not use the console", request_.user), "",
                          "list the user in admin_users or stats_users"},
                    to_client);
    }
  } else if (request_.database != rules_->database) {
    return reject(
        Error{sqlstate::kUnknownDatabase, fmt::format("database \"{}\" does not exist", request_.database),
              "",
              fmt::format("Mosaic serves database \"{}\", and \"mosaic\" for the console", rules_->database)},
        to_client);
  }
  exchange_.reset();
  state_ = State::kAuthenticated;
}

void Login::reject(Error error, ByteBuffer& to_client, std::string_view reason_for_log) {
  routing::append_error(to_client, error, "FATAL");
  error_ = std::move(error);
  if (reason_for_log_.empty()) reason_for_log_ = reason_for_log;
  exchange_.reset();
  state_ = State::kRejected;
}

}  // namespace mosaic::proxy
