#include "proxy/postgres/cancel_registry.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "pool/random.h"

namespace mosaic::proxy {
namespace {

TEST(CancelRegistry, finds_a_target_by_its_whole_key_only) {
  CancelRegistry registry(pool::random_u64);
  const CancelTarget target{1, 2, 3};
  const auto key = registry.add(target);
  EXPECT_EQ(registry.find(key), target);
  for (int bit = 0; bit < 32; ++bit) {
    EXPECT_EQ(registry.find({key.process_id, key.secret ^ (1u << bit)}), std::nullopt);
    EXPECT_EQ(registry.find({key.process_id ^ (1u << bit), key.secret}), std::nullopt);
  }
}

TEST(CancelRegistry, forgets_a_removed_key) {
  CancelRegistry registry(pool::random_u64);
  const auto key = registry.add({1, 2, 3});
  registry.remove({key.process_id, key.secret + 1});
  EXPECT_TRUE(registry.find(key)) << "a wrong secret removes nothing";
  registry.remove(key);
  registry.remove(key);
  EXPECT_EQ(registry.find(key), std::nullopt);
  EXPECT_EQ(registry.size(), 0u);
}

TEST(CancelRegistry, draws_again_when_a_process_id_is_taken_or_may_be_a_real_one) {
  constexpr uint64_t kFirst = (1u << 22) + 1;
  const std::vector<uint64_t> draws = {kFirst << 32 | 1,
                                       kFirst << 32 | 2,
                                       3,
                                       (kFirst - 1) << 32 | 3,
                                       (uint64_t{0x80000000} | kFirst) << 32 | 4,
                                       (kFirst + 1) << 32 | 5};
  size_t next = 0;
  CancelRegistry registry([&] { return draws.at(next++); });
  EXPECT_EQ(registry.add({}), (CancelKey{kFirst, 1}));
  EXPECT_EQ(registry.add({}), (CancelKey{kFirst + 1, 5})) << "the sign bit is dropped";
}

TEST(CancelRegistry, serves_many_threads_at_once) {
  CancelRegistry registry(pool::random_u64);
  std::vector<std::thread> threads;
  for (uint32_t worker = 0; worker < 4; ++worker) {
    threads.emplace_back([&registry, worker] {
      for (uint64_t i = 0; i < 2000; ++i) {
        const CancelTarget target{worker, 0, i};
        const auto key = registry.add(target);
        EXPECT_EQ(registry.find(key), target);
        registry.remove(key);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(registry.size(), 0u);
}

}  // namespace
}  // namespace mosaic::proxy
