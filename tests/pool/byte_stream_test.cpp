// ByteStream over a socket pair: what the peer does not take at once, what we do not want to read, and ends.

#include "pool/byte_stream.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <optional>
#include <string>

#include "tests/pool/loop_harness.h"

namespace mosaic::pool {
namespace {

class ByteStreamTest : public testing::Test, public SocketWatcher::Handler {
 protected:
  ByteStreamTest() {
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    peer_ = ends[1];
    stream_.emplace(loop_, ends[0], true, *this);
  }
  ~ByteStreamTest() override {
    stream_.reset();
    close_peer();
  }
  void on_socket(int events) override {
    events_ |= events;
    ++calls_;
    if ((events & SocketWatcher::kWritable) != 0) is_writing_ok_ = stream_->on_writable();
    if ((events & SocketWatcher::kReadable) != 0) {
      char bytes[4096];
      const auto result = stream_->read(bytes);
      received_.append(bytes, result.bytes);
      is_lost_ = is_lost_ || result.is_lost;
      if (result.is_lost) stream_->pause_reading();
    }
    if ((events & SocketWatcher::kDisconnected) != 0) stream_->resume_reading();
  }
  void close_peer() {
    if (peer_ >= 0) close(peer_);
    peer_ = -1;
  }
  // Takes what the peer can read now.
  void drain_peer() {
    char bytes[65536];
    for (ssize_t count = 0; (count = recv(peer_, bytes, sizeof bytes, 0)) > 0;)
      arrived_.append(bytes, static_cast<size_t>(count));
  }
  void say(const std::string& text) {
    ASSERT_EQ(send(peer_, text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
  }

  EventLoop loop_;
  int peer_ = -1;
  std::optional<ByteStream> stream_;
  std::string received_, arrived_;
  int events_ = 0, calls_ = 0;
  bool is_lost_ = false, is_writing_ok_ = true;
};

std::string numbered(size_t bytes) {
  std::string text;
  for (int i = 0; text.size() < bytes; ++i) text += std::to_string(i) + ",";
  return text;
}

TEST_F(ByteStreamTest, queues_what_the_peer_does_not_take_and_sends_it_in_order) {
  const std::string text = numbered(4 << 20);
  ASSERT_TRUE(stream_->write(text));
  EXPECT_GT(stream_->pending_bytes(), 0u);
  EXPECT_LT(stream_->pending_bytes(), text.size());
  stream_->out().append("the end");
  ASSERT_TRUE(stream_->flush());
  const auto has_all = [&] {
    drain_peer();
    return stream_->pending_bytes() == 0 && arrived_.size() == text.size() + 7;
  };
  run_until(loop_, has_all, "all bytes to arrive");
  EXPECT_EQ(arrived_, text + "the end");
  EXPECT_EQ(stream_->bytes_written(), arrived_.size());
  EXPECT_TRUE(is_writing_ok_);
}

TEST_F(ByteStreamTest, never_overtakes_what_is_queued) {
  const std::string text = numbered(1 << 20);
  ASSERT_TRUE(stream_->write(text));
  ASSERT_GT(stream_->pending_bytes(), 0u);
  drain_peer();  // there is room again: a direct send would come too early
  ASSERT_TRUE(stream_->write("behind"));
  const auto has_all = [&] {
    drain_peer();
    return arrived_.size() == text.size() + 6;
  };
  run_until(loop_, has_all, "all bytes to arrive");
  EXPECT_EQ(arrived_, text + "behind");
}

TEST_F(ByteStreamTest, gives_large_memory_back_when_all_is_sent) {
  ASSERT_TRUE(stream_->write(numbered(1 << 20)));
  EXPECT_GT(stream_->out().capacity(), 0u);
  const auto is_sent = [&] {
    drain_peer();
    return stream_->pending_bytes() == 0;
  };
  run_until(loop_, is_sent, "all bytes to go");
  EXPECT_EQ(stream_->out().capacity(), 0u);
}

TEST_F(ByteStreamTest, leaves_bytes_in_the_kernel_while_reading_is_paused) {
  stream_->pause_reading();
  say("later");
  bool has_turned = false;
  loop_.defer([&] { has_turned = true; });
  run_until(
      loop_, [&] { return has_turned; }, "a turn of the loop");
  EXPECT_EQ(calls_, 0);
  stream_->resume_reading();
  run_until(
      loop_, [&] { return received_ == "later"; }, "the bytes");
}

TEST_F(ByteStreamTest, notices_a_peer_that_goes_while_reading_is_paused_and_still_reads_what_it_said) {
  stream_->pause_reading();
  say("last words");
  close_peer();
  run_until(
      loop_, [&] { return is_lost_; }, "the end of the stream");
  EXPECT_NE(events_ & SocketWatcher::kDisconnected, 0);
  EXPECT_EQ(received_, "last words");
}

TEST_F(ByteStreamTest, tells_that_a_write_to_a_closed_peer_is_lost) {
  close_peer();
  EXPECT_FALSE(stream_->write("x"));
  EXPECT_FALSE(stream_->flush()) << "lost for good";
}

TEST_F(ByteStreamTest, gives_its_descriptor_away) {
  const int fd = stream_->release();
  stream_.reset();
  EXPECT_NE(fcntl(fd, F_GETFD), -1) << "still open";
  close(fd);
}

}  // namespace
}  // namespace mosaic::pool
