// A log whose reader does not read, reads late, or is gone.
#include "admin/log_writer.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <memory>

namespace mosaic::admin {
namespace {

class LogWriterTest : public testing::Test {
 protected:
  LogWriterTest() {
    signal(SIGPIPE, SIG_IGN);
    EXPECT_EQ(pipe2(ends_.data(), O_CLOEXEC), 0);
  }
  ~LogWriterTest() override {
    writer_.reset();
    for (const int end : ends_) close(end);
  }
  void start(size_t bytes_max) { writer_ = std::make_unique<LogWriter>(ends_[1], bytes_max); }
  std::string read_bytes(size_t count) {
    std::string text;
    std::array<char, 65536> chunk{};
    while (text.size() < count) {
      const ssize_t taken = read(ends_[0], chunk.data(), std::min(chunk.size(), count - text.size()));
      if (taken <= 0) break;
      text.append(chunk.data(), static_cast<size_t>(taken));
    }
    return text;
  }

  std::array<int, 2> ends_{};
  std::unique_ptr<LogWriter> writer_;
};

TEST_F(LogWriterTest, writes_lines_in_order_and_what_is_left_when_it_goes) {
  start(1 << 20);
  std::string expected;
  for (int i = 0; i < 1000; ++i) {
    const std::string line = "line " + std::to_string(i);
    EXPECT_TRUE(writer_->put(line));
    expected += line + '\n';
  }
  writer_.reset();
  EXPECT_EQ(read_bytes(expected.size()), expected);
}

TEST_F(LogWriterTest, nobody_waits_for_a_reader_that_does_not_read) {
  constexpr size_t kBufferBytes = 10'000;
  start(kBufferBytes);
  const std::string line(999, 'x');
  size_t taken = 0;
  while (writer_->put(line)) ASSERT_LT(++taken, 1000u) << "the pipe has taken far too much";
  EXPECT_GE(taken, kBufferBytes / 1000);
  const std::string text = read_bytes(taken * 1000);
  EXPECT_EQ(text.size(), taken * 1000) << "what was taken comes, whole";
  // There is room again.
  while (!writer_->put("more")) std::this_thread::yield();
  EXPECT_EQ(read_bytes(5), "more\n");
}

TEST_F(LogWriterTest, a_line_longer_than_the_buffer_and_the_pipe_comes_whole) {
  start(10);
  const std::string line(300'000, 'y');
  EXPECT_TRUE(writer_->put(line));
  EXPECT_FALSE(writer_->put("another"));
  EXPECT_EQ(read_bytes(line.size() + 1), line + '\n');
}

TEST_F(LogWriterTest, leaves_though_nobody_reads) {
  start(1 << 20);
  for (int i = 0; i < 200; ++i) writer_->put(std::string(1000, 'z'));
  writer_.reset();  // or the test hangs
}

TEST_F(LogWriterTest, goes_on_when_the_reader_is_gone) {
  close(ends_[0]);
  start(1 << 20);
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(writer_->put("unread"));
  writer_.reset();
  ends_[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

}  // namespace
}  // namespace mosaic::admin
