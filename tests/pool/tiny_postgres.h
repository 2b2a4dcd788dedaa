#pragma once
// As much of a PostgreSQL server as libpq needs to log in, on a thread of its own: trust, one
// ParameterStatus, a key. Counts connections and cancel requests; can turn connections away, drop those it
// has, and be as silent as a frozen node.

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace mosaic::pool {

class TinyPostgres {
 public:
  TinyPostgres();
  ~TinyPostgres();
  TinyPostgres(const TinyPostgres&) = delete;
  TinyPostgres& operator=(const TinyPostgres&) = delete;

  uint16_t port() const { return port_; }
  int sessions() const { return sessions_; }   // logged in and open
  int logins() const { return logins_; }       // ever
  int most_sessions() const { return most_; }  // at the same time
  int cancels() const { return cancels_; }
  int goodbyes() const { return goodbyes_; }  // sessions that ended with Terminate
  void set_refusing(bool is_refusing) { is_refusing_ = is_refusing; }
  // Logins end with this error; an empty code: they succeed.
  void set_login_error(std::string sqlstate, std::string message);
  // Cancel requests are read, and their connections stay open.
  void set_holding_cancels(bool is_holding) { is_holding_cancels_ = is_holding; }
  // Nothing is read any more, and nobody let in.
  void set_frozen(bool is_frozen);
  void drop_sessions();
  void stop_listening();  // nobody can connect any more; sessions stay

 private:
  struct Peer {
    int fd;
    bool is_session;
    bool is_cancel = false;
  };
  void command(char letter);
  void serve();
  bool on_readable(Peer& peer);  // false: it is done
  void accept_one();

  int listener_ = -1;
  int wake_[2] = {-1, -1};  // d: drop the sessions; l: stop listening; w: look again; closed: stop
  uint16_t port_ = 0;
  std::vector<Peer> peers_;
  std::atomic<int> sessions_{0}, logins_{0}, most_{0}, cancels_{0}, goodbyes_{0};
  std::atomic<bool> is_refusing_{false}, is_holding_cancels_{false}, is_frozen_{false};
  std::mutex mutex_;  // of what follows
  std::string login_sqlstate_, login_message_;
  std::thread thread_;
};

}  // namespace mosaic::pool
