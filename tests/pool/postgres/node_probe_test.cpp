// Probes over a real loop and real sockets. Time is passed to on_tick, never waited for.

#include "pool/postgres/node_probe.h"

#include <gtest/gtest.h>

#include "tests/pool/loop_harness.h"
#include "tests/pool/tiny_postgres.h"

namespace mosaic::pool {
namespace {

class NodeProbeTest : public testing::Test {
 protected:
  NodeAddress address() const { return {"pg1", "127.0.0.1", postgres_.port(), "photos"}; }
  void wait_for(NodeHealth::State state) {
    run_until(
        loop_,
        [&] {
          prober_.on_tick(limits_, now_ms());
          return health_->state() == state;
        },
        to_text(state));
  }
  // As time passes for the prober.
  uint64_t now_ms() const { return loop_.now_ms() + later_ms_; }

  TinyPostgres postgres_;
  EventLoop loop_;
  uint64_t later_ms_ = 0;
  std::vector<NodeHealth::Change> changes_;
  std::shared_ptr<NodeHealth> health_ = std::make_shared<NodeHealth>(
      [this](const NodeHealth::Change& change) { changes_.push_back(change); }, [] { return uint64_t{7}; });
  NodeProber prober_{loop_};
  NodeProber::Limits limits_{1, 3'000};
};

TEST_F(NodeProbeTest, has_an_answer_without_a_login) {
  prober_.set_nodes({{address()}}, {health_});
  run_until(
      loop_,
      [&] {
        prober_.on_tick(limits_, now_ms());
        return health_->status().probe_us > 0;
      },
      "an answer");
  EXPECT_EQ(postgres_.logins(), 0);
  EXPECT_TRUE(changes_.empty());
}

TEST_F(NodeProbeTest, tells_when_nobody_listens_any_more_and_when_somebody_does) {
  TinyPostgres other;
  prober_.set_nodes({{address()}}, {health_});
  postgres_.stop_listening();
  wait_for(NodeHealth::State::kDown);
  EXPECT_NE(health_->status().last_error.find("failed: Connection re"), std::string::npos)
      << health_->status().last_error;
  prober_.set_nodes({{{"pg1", "127.0.0.1", other.port(), "photos"}}}, {health_});
  wait_for(NodeHealth::State::kUp);
}

TEST_F(NodeProbeTest, tells_when_a_node_is_silent_for_too_long_and_when_it_speaks_again) {
  prober_.set_nodes({{address()}}, {health_});
  postgres_.set_frozen(true);
  prober_.on_tick(limits_, now_ms());
  later_ms_ += 2'999;
  prober_.on_tick(limits_, now_ms());
  EXPECT_TRUE(health_->is_up());
  later_ms_ += 10;
  wait_for(NodeHealth::State::kSlow);
  postgres_.set_frozen(false);
  wait_for(NodeHealth::State::kUp);
}

TEST_F(NodeProbeTest, asks_a_node_that_starts_whether_it_is_ready) {
  prober_.set_nodes({{address()}}, {health_});
  postgres_.set_login_error("57P03", "the database system is starting up");
  health_->on_probe_failed({ConnectFailure::Kind::kStarting, {"57P03", "", "starting", ""}}, now_ms());
  limits_.probe_interval_ms = 1;
  for (int i = 0; i < 3; ++i) {
    const uint64_t before_us = health_->status().last_error_us;
    health_->on_cancel();  // something to tell the rounds apart by
    run_until(
        loop_,
        [&] {
          prober_.on_tick(limits_, now_ms());
          return health_->status().last_error_us >= before_us &&
                 health_->status().last_error.find("starting up") != std::string::npos;
        },
        "the node to say that it starts");
    EXPECT_EQ(health_->state(), NodeHealth::State::kDown);
  }
  postgres_.set_login_error("28000", "role \"mosaic_probe\" does not exist");
  wait_for(NodeHealth::State::kUp);
}

TEST_F(NodeProbeTest, is_not_sent_when_there_is_no_interval) {
  prober_.set_nodes({{address()}}, {health_});
  postgres_.stop_listening();
  limits_.probe_interval_ms = 0;
  for (int i = 0; i < 100; ++i) prober_.on_tick(limits_, ++later_ms_);
  EXPECT_TRUE(health_->is_up());
}

}  // namespace
}  // namespace mosaic::pool
