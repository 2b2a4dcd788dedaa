#include "bench/workload/operation_mix.h"

#include <gtest/gtest.h>

#include <map>

namespace mosaic::workload {
namespace {

std::string error_of(const std::string& text) {
  try {
    OperationMix::parse(text);
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

void expect_error(const std::string& text, const std::string& fragment) {
  EXPECT_NE(error_of(text).find(fragment), std::string::npos) << text << ": " << error_of(text);
}

TEST(OperationMix, draws_each_operation_by_its_parts) {
  const OperationMix mix = OperationMix::parse("read_profile=70,upload=20,edit_caption=10,follow=0");
  Random random(3);
  std::map<OperationKind, int> counts;
  for (int i = 0; i < 10'000; ++i) ++counts[mix.draw(random)];
  EXPECT_EQ(counts.size(), 3u);
  EXPECT_NEAR(counts[OperationKind::kReadProfile], 7'000, 250);
  EXPECT_NEAR(counts[OperationKind::kUpload], 2'000, 200);
  EXPECT_NEAR(counts[OperationKind::kEditCaption], 1'000, 150);
}

TEST(OperationMix, is_the_applications_own_by_default) {
  const OperationMix mix;
  EXPECT_EQ(mix.parts(), 100u);
  EXPECT_EQ(mix.parts_of(OperationKind::kReadPhoto), 25u);
  EXPECT_EQ(mix.parts_of(OperationKind::kSignUp), 0u);
}

TEST(OperationMix, names_the_nearest_operation) {
  expect_error("read_profil=5", "did you mean 'read_profile'?");
  expect_error("uplaod=5", "did you mean 'upload'?");
  expect_error("xyzzy=5", "Known are: read_profile");
  EXPECT_EQ(error_of("xyzzy=5").find("did you mean"), std::string::npos);
}

TEST(OperationMix, refuses_what_is_no_mix) {
  expect_error("upload", "expected operation=parts, got 'upload'");
  expect_error("upload=", "expected a whole number");
  expect_error("upload=-1", "got '-1'");
  expect_error("upload=1.5", "got '1.5'");
  expect_error("upload=5x", "got '5x'");
  expect_error("upload=99999999", "up to 1000000");
  expect_error("upload=1,upload=2", "'upload' comes twice");
  expect_error("upload=0", "at least one operation");
  expect_error("", "at least one operation");
  expect_error("sign_up=1", "there is no operation 'sign_up'");
}

}  // namespace
}  // namespace mosaic::workload
