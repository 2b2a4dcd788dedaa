#include "routing/buffer_stock.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace mosaic::routing {
namespace {

TEST(BufferStock, lends_the_memory_that_was_used_last) {
  BufferStock stock;
  ByteBuffer first, second;
  first.append("first");
  second.append("second");
  const char* memory = second.data();
  first.clear();
  second.clear();
  stock.take_back(first);
  stock.take_back(second);
  EXPECT_EQ(stock.size(), 2u);
  EXPECT_EQ(second.capacity(), 0u);
  ByteBuffer borrower;
  stock.lend(borrower);
  EXPECT_TRUE(borrower.is_empty());
  borrower.append("third");
  EXPECT_EQ(borrower.data(), memory);
  EXPECT_EQ(stock.size(), 1u);
}

TEST(BufferStock, leaves_bytes_where_they_are) {
  BufferStock stock;
  ByteBuffer buffer;
  buffer.append("held");
  stock.take_back(buffer);
  EXPECT_EQ(buffer.view(), "held");
  EXPECT_EQ(stock.size(), 0u);
  ByteBuffer other;
  other.append("x");
  other.clear();
  stock.take_back(other);
  stock.lend(buffer);  // has memory of its own
  EXPECT_EQ(buffer.view(), "held");
  EXPECT_EQ(stock.size(), 1u);
}

TEST(BufferStock, keeps_neither_large_memory_nor_much_of_it) {
  BufferStock stock;
  ByteBuffer large;
  large.append(std::string(BufferStock::kBytesMax + 1, 'x'));
  large.clear();
  stock.take_back(large);
  EXPECT_EQ(large.capacity(), 0u);
  EXPECT_EQ(stock.size(), 0u);
  std::vector<ByteBuffer> many(BufferStock::kBuffersMax + 1);
  for (ByteBuffer& buffer : many) {
    buffer.append("x");
    buffer.clear();
    stock.take_back(buffer);
    EXPECT_EQ(buffer.capacity(), 0u);
  }
  EXPECT_EQ(stock.size(), BufferStock::kBuffersMax);
}

TEST(BufferStock, lets_a_buffer_allocate_when_it_has_nothing_to_lend) {
  BufferStock stock;
  ByteBuffer buffer;
  stock.lend(buffer);
  buffer.append("own");
  EXPECT_EQ(buffer.view(), "own");
}

}  // namespace
}  // namespace mosaic::routing
