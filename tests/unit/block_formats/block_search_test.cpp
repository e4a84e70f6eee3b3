#include <sinq/block_formats/block_search.hpp>

#include "support/generators.hpp"
#include "support/isa_list.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace sinq::test {
namespace {

using namespace sinq::detail;

constexpr BlockGrid kFourBits{.lowest = 0.0F, .highest = 15.0F};

/// As the encoder fills it; `shift` is added in even lanes and taken away in odd ones.
BlockPanel random_panel(float shift = 0.0F) {
  BlockPanel panel;
  panel.size = 32;
  Random random(3);
  for (Index i = 0; i < panel.size * BlockPanel::kLanes; ++i) {
    panel.x[i] = static_cast<float>(random.gaussian()) + (i % 2 == 0 ? shift : -shift);
    panel.w[i] = static_cast<float>(0.5 + random.uniform());
  }
  BlockSearch<isa::Portable>::measure(panel);
  return panel;
}

/// The weighted error of lane `lane` under w ~ scale * level + offset, levels the nearest of 0..15.
double error_of(const BlockPanel& panel, Index lane, double scale, double offset) {
  double error = 0.0;
  for (Index i = 0; i < panel.size; ++i) {
    const Index at = i * BlockPanel::kLanes + lane;
    const double x = static_cast<double>(panel.x[at]);
    const double level = std::clamp(std::nearbyint((x - offset) / scale), 0.0, 15.0);
    const double d = x - (scale * level + offset);
    error += static_cast<double>(panel.w[at]) * d * d;
  }
  return error;
}

class BlockSearchOn : public testing::TestWithParam<Isa> {};
INSTANTIATE_TEST_SUITE_P(Isas, BlockSearchOn, testing::ValuesIn(supported_isas()),
                         [](const auto& instance) { return std::string(name(instance.param)); });

TEST_P(BlockSearchOn, SettleMeasuresTheErrorAndTakesTheBestCodesInReach) {
  const BlockPanel panel = random_panel();
  BlockStored stored;
  for (Index lane = 0; lane < BlockPanel::kLanes; ++lane) {
    stored.scale[lane] = 0.02F;
    stored.min[lane] = 0.1F;
    stored.scale_code[lane] = 14.0F + static_cast<float>(lane % 3);
    stored.min_code[lane] = 18.0F;
  }
  const BlockStored before = stored;
  BlockSums sums;
  const BlockCodeRange codes{.least_scale = 0.0F,
                             .greatest_scale = 15.0F,
                             .scale_reach = 1.0F,
                             .least_min = 0.0F,
                             .greatest_min = 63.0F,
                             .min_reach = 2.0F};
  dispatch(GetParam(), [&](auto tag) { BlockSearch<decltype(tag)>::settle(panel, kFourBits, codes, stored, sums); });
  for (Index lane = 0; lane < BlockPanel::kLanes; ++lane) {
    const auto error = [&](double s, double m) {
      return error_of(panel, lane, static_cast<double>(0.02F) * s, static_cast<double>(-0.1F) * m);
    };
    EXPECT_NEAR(static_cast<double>(sums.error[lane]),
                error(static_cast<double>(stored.scale_code[lane]), static_cast<double>(stored.min_code[lane])),
                1e-5);  // 32 float32 squares below 1
    const double s0 = static_cast<double>(before.scale_code[lane]), m0 = static_cast<double>(before.min_code[lane]);
    for (double s = s0 - 1.0; s <= std::min(s0 + 1.0, 15.0); s += 1.0) {
      for (double m = m0 - 2.0; m <= m0 + 2.0; m += 1.0) {
        EXPECT_LE(static_cast<double>(sums.error[lane]), error(s, m) + 1e-5) << lane << " " << s << " " << m;
      }
    }
  }
}

TEST_P(BlockSearchOn, FittedRangesAreBetterThanThoseOfExtremeWeights) {
  const BlockPanel panel = random_panel();
  const BlockLanes any{};
  BlockFit plain, fit;
  const BlockStarts starts{.top = 15.0F, .first = -1.0F, .step = 0.25F, .count = 12, .rounds = 2};
  dispatch(GetParam(),
           [&](auto tag) { BlockSearch<decltype(tag)>::fit_affine(panel, kFourBits, starts, any, plain, fit); });
  for (Index lane = 0; lane < BlockPanel::kLanes; ++lane) {
    const auto error = [&](const BlockFit& f) {
      return error_of(panel, lane, static_cast<double>(f.scale[lane]), static_cast<double>(f.offset[lane]));
    };
    EXPECT_LT(error(fit), error(plain)) << lane;
  }
}

TEST_P(BlockSearchOn, OffsetsStayOnTheirSideOfZero) {
  const BlockPanel panel = random_panel(10.0F);
  BlockLanes direction;
  for (Index lane = 0; lane < BlockPanel::kLanes; ++lane) direction[lane] = lane % 4 < 2 ? 1.0F : -1.0F;
  BlockFit plain, fit;
  const BlockStarts starts{.top = 15.0F, .first = -1.0F, .step = 0.25F, .count = 12, .rounds = 2};
  dispatch(GetParam(),
           [&](auto tag) { BlockSearch<decltype(tag)>::fit_affine(panel, kFourBits, starts, direction, plain, fit); });
  for (Index lane = 0; lane < BlockPanel::kLanes; ++lane) {
    EXPECT_LE(fit.offset[lane] * direction[lane], 0.0F) << lane;
    EXPECT_LE(plain.offset[lane] * direction[lane], 0.0F) << lane;
  }
}

}  // namespace
}  // namespace sinq::test
