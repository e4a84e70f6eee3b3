#include <sinq/calibration/feedback_factor.hpp>
#include <sinq/calibration/feedback_rows.hpp>
#include <sinq/quantize.hpp>

#include "calibration_support.hpp"

#include <Eigen/Cholesky>
#include <gtest/gtest.h>

#include <vector>

namespace {

using sinq::Config;
using sinq::Index;
using sinq::QuantizedMatrix;
using sinq::detail::FeedbackRows;
using sinq::detail::kFeedRows;
using sinq::test::TestMatrix;
using sinq::test::view;

constexpr Index kCols = 72;

/// Rows of a matrix some of whose columns have been rounded.
struct Setting {
  TestMatrix w = sinq::test::generators::mixed_scales(40, kCols, 1);
  sinq::ActivationStats stats = sinq::test::stats_of(sinq::test::activations(300, kCols, 2));
  QuantizedMatrix q = quantize(view(w), Config<>{.group_size = 24});
  sinq::detail::Vector<float> col_scale = sinq::detail::Vector<float>(kCols), scratch;
  sinq::detail::FeedbackFactor factor;
  Eigen::MatrixXd h{kCols, kCols};
  FeedbackRows part;

  Setting() {
    q.view().col_scales(0, {0, kCols}, col_scale.data());
    const sinq::detail::NormalizedGram gram(stats, col_scale, 0.01);
    factor = factorize_feedback(gram, sinq::ColumnOrder::kNatural, sinq::Isa::kBest, sinq::Serial{});
    for (Index i = 0; i < kCols; ++i) {
      for (Index k = 0; k < kCols; ++k) h(i, k) = gram(i, k) / gram.mean();
    }
    part.load(view(w), q, {32, 40}, col_scale, factor.order, scratch);
  }
  [[nodiscard]] Eigen::VectorXd column_of(const sinq::detail::Vector<float>& values, Index r, Index begin,
                                          Index end) const {
    Eigen::VectorXd out(end - begin);
    for (Index c = begin; c < end; ++c) {
      out[c - begin] = static_cast<double>(values[static_cast<std::size_t>(c * kFeedRows + r)]);
    }
    return out;
  }
};

TEST(FeedbackRowsTest, LoadsNormalizedWeightsAndStoredGroups) {
  const Setting setting;
  const float unit = setting.q.layout().matrix_scale;
  for (Index r = 0; r < 8; ++r) {
    for (Index c = 0; c < kCols; ++c) {
      const float expected = setting.w(32 + r, c) / unit / setting.col_scale[static_cast<std::size_t>(c)];
      EXPECT_NEAR(setting.part.columns[static_cast<std::size_t>(c * kFeedRows + r)], expected, 1e-5F);
    }
    float scale = 0.0F, zero = 0.0F;
    setting.q.view().group_scales(1, {32 + r, 33 + r}, &scale);
    setting.q.view().zero_points(1, {32 + r, 33 + r}, &zero);
    const sinq::detail::GroupRows& group = setting.part.groups[1];
    EXPECT_EQ(group.scale[r], scale);
    EXPECT_FLOAT_EQ(group.offset[r], -zero * scale);
  }
  for (Index r = 8; r < kFeedRows; ++r)
    EXPECT_EQ(setting.part.columns[static_cast<std::size_t>(5 * kFeedRows + r)], 0.0F);
}

// Targets are what makes the loss least, given the errors so far, if all later columns were free.
TEST(FeedbackRowsTest, AimsAtWhatMakesUpForAllErrors) {
  Setting setting;
  FeedbackRows& part = setting.part;
  const sinq::detail::Vector<float> weights = part.columns;
  sinq::test::Random random(3);
  constexpr Index kDone = 24, kMore = 40, kSeen = kCols;
  for (Index i = 0; i < kMore * kFeedRows; ++i) {
    part.columns[static_cast<std::size_t>(i)] = static_cast<float>(0.1 * random.gaussian());  // errors
  }
  part.begin({kDone, kSeen}, setting.factor.panels, sinq::Isa::kBest);
  const Index count = kSeen - kMore;
  std::vector<float> errors(static_cast<std::size_t>(count * kFeedRows)), targets(errors.size());
  part.aim({kMore, kSeen}, setting.factor.panels, errors.data(), targets.data(), sinq::Isa::kBest);
  const Eigen::MatrixXd rest = setting.h.bottomRightCorner(count, count);
  const Eigen::MatrixXd cross = setting.h.bottomLeftCorner(count, kMore);
  for (Index r = 0; r < 8; ++r) {
    const Eigen::VectorXd best = -rest.llt().solve(cross * setting.column_of(part.columns, r, 0, kMore));
    const Eigen::VectorXd before = setting.column_of(weights, r, kMore, kSeen);
    for (Index c = 0; c < count; ++c) {
      EXPECT_NEAR(static_cast<double>(targets[static_cast<std::size_t>(c * kFeedRows + r)]), before[c] - best[c], 1e-3);
    }
  }
}

TEST(FeedbackRowsTest, ScalesMoveTheirOffsets) {
  sinq::detail::GroupRows group{};
  group.zero_point[3] = 5.0F;
  group.set_scale(3, 0.5F);
  EXPECT_EQ(group.offset[3], -2.5F);
  EXPECT_EQ(group.inverse[3], 2.0F);
  group.set_scale(3, 0.0F);
  EXPECT_EQ(group.inverse[3], 0.0F);
}

}  // namespace
