// What the kernel is told of a socket.
#include "pool/socket_address.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

namespace mosaic::pool {
namespace {

int option(int fd, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  getsockopt(fd, IPPROTO_TCP, name, &value, &size);
  return value;
}

class Keepalive : public testing::Test {
 protected:
  ~Keepalive() override { close(fd_); }
  int fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
};

TEST_F(Keepalive, is_as_it_is_set) {
  set_keepalive(fd_, {.idle_ms = 90'000, .interval_ms = 7'500, .count = 3, .user_timeout_ms = 40'000});
  EXPECT_EQ(option(fd_, TCP_KEEPIDLE), 90);
  EXPECT_EQ(option(fd_, TCP_KEEPINTVL), 8) << "whole seconds, no less";
  EXPECT_EQ(option(fd_, TCP_KEEPCNT), 3);
  EXPECT_EQ(option(fd_, TCP_USER_TIMEOUT), 40'000);
}

TEST_F(Keepalive, of_zero_is_the_systems) {
  const int idle = option(fd_, TCP_KEEPIDLE), count = option(fd_, TCP_KEEPCNT);
  set_keepalive(fd_, {.idle_ms = 0, .interval_ms = 0, .count = 0, .user_timeout_ms = 0});
  EXPECT_EQ(option(fd_, TCP_KEEPIDLE), idle);
  EXPECT_EQ(option(fd_, TCP_KEEPCNT), count);
}

TEST_F(Keepalive, that_is_longer_than_the_kernel_takes_is_the_longest) {
  set_keepalive(fd_, {.idle_ms = 100'000'000});
  EXPECT_EQ(option(fd_, TCP_KEEPIDLE), 32'767);
}

}  // namespace
}  // namespace mosaic::pool
