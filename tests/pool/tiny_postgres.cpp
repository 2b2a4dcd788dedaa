#include "tests/pool/tiny_postgres.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "routing/postgres/wire/frame.h"
#include "routing/postgres/wire/messages.h"

namespace mosaic::pool {

namespace {

constexpr uint32_t kCancelRequest = 80877102;
constexpr uint32_t kSslRequest = 80877103;
constexpr int kBacklog = 64;

}  // namespace

TinyPostgres::TinyPostgres() {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  const bool is_ok = bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                     listen(listener_, kBacklog) == 0 && pipe(wake_) == 0 &&
                     getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  if (!is_ok) throw std::runtime_error("cannot listen on a free port of 127.0.0.1");
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { serve(); });
}

TinyPostgres::~TinyPostgres() {
  close(wake_[1]);
  thread_.join();
  for (const Peer& peer : peers_) close(peer.fd);
  close(wake_[0]);
  if (listener_ >= 0) close(listener_);
}

void TinyPostgres::command(char letter) {
  if (write(wake_[1], &letter, 1) != 1) throw std::runtime_error("cannot wake the server's thread");
}

void TinyPostgres::drop_sessions() { command('d'); }
void TinyPostgres::stop_listening() { command('l'); }
void TinyPostgres::set_login_error(std::string sqlstate, std::string message) {
  const std::lock_guard lock(mutex_);
  login_sqlstate_ = std::move(sqlstate);
  login_message_ = std::move(message);
}
void TinyPostgres::set_frozen(bool is_frozen) {
  is_frozen_ = is_frozen;
  command('w');
}

void TinyPostgres::serve() {
  for (;;) {
    std::vector<pollfd> watched = {{wake_[0], POLLIN, 0}, {is_frozen_ ? -1 : listener_, POLLIN, 0}};
    for (const Peer& peer : peers_) watched.push_back({is_frozen_ ? -1 : peer.fd, POLLIN, 0});
    if (poll(watched.data(), watched.size(), -1) <= 0) continue;
    bool drops = false;
    if (watched[0].revents != 0) {
      char letter = 0;
      if (read(wake_[0], &letter, 1) <= 0) return;
      drops = letter == 'd';
      if (letter == 'l') close(std::exchange(listener_, -1));
    }
    const bool accepts = watched[1].revents != 0 && listener_ >= 0;
    std::vector<Peer> kept;
    for (size_t i = 0; i < peers_.size(); ++i) {
      Peer& peer = peers_[i];
      const bool is_dropped = drops && peer.is_session;
      if (!is_dropped && (watched[i + 2].revents == 0 || on_readable(peer))) {
        kept.push_back(peer);
        continue;
      }
      if (peer.is_session) --sessions_;
      close(peer.fd);
    }
    peers_ = std::move(kept);
    if (accepts) accept_one();
  }
}

void TinyPostgres::accept_one() {
  const int fd = accept(listener_, nullptr, nullptr);
  if (fd < 0) return;
  if (is_refusing_) {
    close(fd);
  } else {
    peers_.push_back({fd, false});
  }
}

bool TinyPostgres::on_readable(Peer& peer) {
  char bytes[1024];
  const ssize_t count = read(peer.fd, bytes, sizeof bytes);
  if (count <= 0) return false;
  if (peer.is_session) {
    const bool is_goodbye = bytes[0] == 'X';
    goodbyes_ += is_goodbye;
    return !is_goodbye;
  }
  if (count >= 8 && routing::read_u32(bytes + 4) == kCancelRequest) {
    peer.is_cancel = true;
    ++cancels_;
    return is_holding_cancels_;
  }
  if (count >= 8 && routing::read_u32(bytes + 4) == kSslRequest) return write(peer.fd, "N", 1) == 1;
  routing::ByteBuffer out;
  {
    const std::lock_guard lock(mutex_);
    if (!login_sqlstate_.empty()) {
      routing::append_error(out, {login_sqlstate_, login_message_, "", ""}, "FATAL");
      if (write(peer.fd, out.data(), out.size()) < 0) return false;
      return false;
    }
  }
  routing::append_authentication(out, 0);
  routing::append_parameter_status(out, "server_version", "15.0");
  routing::append_backend_key(out, 1, 2);
  routing::append_ready(out, 'I');
  peer.is_session = true;
  ++logins_;
  most_ = std::max(most_.load(), ++sessions_);
  return write(peer.fd, out.data(), out.size()) == static_cast<ssize_t>(out.size());
}

}  // namespace mosaic::pool
