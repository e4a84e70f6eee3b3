#include <sinq/block_formats/block_format.hpp>

#include "block_rows.hpp"
#include "support/generators.hpp"
#include "support/matchers.hpp"
#include "support/reference_blocks.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <limits>
#include <string>
#include <vector>

namespace sinq::test {
namespace {

using testing::HasSubstr;

struct PrintedFormat {
  BlockFormat format;
  friend void PrintTo(const PrintedFormat& f, std::ostream* out) { *out << name(f.format); }
};

std::vector<PrintedFormat> all_formats() {
  std::vector<PrintedFormat> out;
  for (const BlockFormat format : kBlockFormats) out.push_back({format});
  return out;
}

std::vector<float> row_of(const TestMatrix& w, std::ptrdiff_t r) {
  return {w.values.begin() + r * w.cols, w.values.begin() + (r + 1) * w.cols};
}

TEST(BlockFormat, NamesAndSizes) {
  EXPECT_EQ(name(BlockFormat::kQ4K), "q4_k");
  EXPECT_EQ(block_size(BlockFormat::kQ4_0), 32);
  EXPECT_EQ(block_bytes(BlockFormat::kQ4_0), 18);
  EXPECT_EQ(block_size(BlockFormat::kQ3K), 256);
  EXPECT_EQ(block_bytes(BlockFormat::kQ3K), 110);
  EXPECT_EQ(row_bytes(BlockFormat::kQ6K, 512), 420);
  for (const BlockFormat format : kBlockFormats) EXPECT_EQ(block_format_from_name(name(format)), format);
  EXPECT_EQ(block_format_from_name("q4_K"), std::nullopt);
}

class EveryBlockFormat : public testing::TestWithParam<PrintedFormat> {
 protected:
  const BlockFormat format_ = GetParam().format;
};
INSTANTIATE_TEST_SUITE_P(All, EveryBlockFormat, testing::ValuesIn(all_formats()),
                         [](const auto& instance) { return std::string(name(instance.param.format)); });

TEST_P(EveryBlockFormat, IsBetterThanThePlainestWay) {
  for (const Generator& generator : ordinary_generators()) {
    const TestMatrix w = generator.make(8, 512, 3);
    double ours = 0.0, plain = 0.0;
    for (std::ptrdiff_t r = 0; r < w.rows; ++r) {
      const std::vector<float> row = row_of(w, r);
      ours += squared_error(row, round_trip(format_, row));
      plain += squared_error(row, ReferenceBlocks(format_).quantized(row));
    }
    EXPECT_LT(ours, plain) << generator.name;
  }
}

TEST_P(EveryBlockFormat, IsNoWorseThanThePlainestWayOnDegenerateRows) {
  for (const Generator& generator : degenerate_generators()) {
    const TestMatrix w = generator.make(4, 512, 5);
    for (std::ptrdiff_t r = 0; r < w.rows; ++r) {
      const std::vector<float> row = row_of(w, r);
      double greatest = 0.0;
      for (const float x : row) greatest = std::max(greatest, std::abs(static_cast<double>(x)));
      if (greatest > 65504.0) continue;
      const std::vector<float> got = round_trip(format_, row);
      ASSERT_TRUE(all_finite(got)) << generator.name;
      // Scales below binary16's normal numbers are coarse: 2^-24 for each of 255 levels.
      const double coarse = 512.0 * 0x1p-48;
      // Which of two scales binary16 happens to hit is luck: half a unit in its last place.
      const double noise = 512.0 * 0x1p-24 * greatest * greatest;
      EXPECT_LE(squared_error(row, got), squared_error(row, ReferenceBlocks(format_).quantized(row)) + coarse + noise)
          << generator.name << " row " << r;
    }
  }
}

TEST_P(EveryBlockFormat, Zeros) {
  const std::vector<float> row(512, 0.0F);
  EXPECT_EQ(round_trip(format_, row), row);
}

TEST_P(EveryBlockFormat, NamesTheColumnOfAWeightThatItCannotHold) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), -65536.0F}) {
    std::vector<float> row(256, 0.01F);
    row[77] = bad;
    try {
      round_trip(format_, row);
      FAIL() << bad;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), Errc::kBadData);
      EXPECT_THAT(e.what(), HasSubstr("column 77"));
    }
  }
}

TEST_P(EveryBlockFormat, HoldsTheLargestWeights) {
  std::vector<float> row(256);
  for (std::size_t i = 0; i < row.size(); ++i) row[i] = i % 2 == 0 ? 65504.0F : -65504.0F;
  EXPECT_TRUE(all_near(round_trip(format_, row), row, 0.3));  // 2 bits: 4 levels, one of them the minimum
}

TEST_P(EveryBlockFormat, RowsAreWholeBlocks) {
  std::vector<float> row(static_cast<std::size_t>(block_size(format_)) + 16);
  try {
    encoded(format_, row);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), Errc::kBadShape);
    EXPECT_THAT(e.what(), HasSubstr("is not a multiple of " + std::to_string(block_size(format_))));
  }
  std::vector<std::byte> bytes(static_cast<std::size_t>(block_bytes(format_)) + 1);
  EXPECT_THROW(decode_row(format_, bytes, row.data()), Error);
  row.resize(static_cast<std::size_t>(block_size(format_)));
  EXPECT_THROW(encode_row(format_, row, {}, bytes), Error);
}

TEST_P(EveryBlockFormat, ImportanceIsFiniteAndOfTheRowsLength) {
  const std::vector<float> row(256, 0.01F);
  EXPECT_THROW(encoded(format_, row, std::vector<float>(255, 1.0F)), Error);
  std::vector<float> importance(256, 1.0F);
  importance[3] = -1.0F;
  EXPECT_THROW(encoded(format_, row, importance), Error);
  importance[3] = std::numeric_limits<float>::infinity();
  EXPECT_THROW(encoded(format_, row, importance), Error);
}

TEST_P(EveryBlockFormat, ImportanceMovesTheErrorToOtherColumns) {
  const TestMatrix w = generators::gaussian(8, 512, 11);
  std::vector<float> importance(512, 1.0F);
  for (std::size_t i = 0; i < importance.size(); i += 4) importance[i] = 100.0F;
  double before = 0.0, after = 0.0, important_before = 0.0, important_after = 0.0;
  std::vector<float> marked(512, 0.0F);
  for (std::size_t i = 0; i < importance.size(); i += 4) marked[i] = 1.0F;
  for (std::ptrdiff_t r = 0; r < w.rows; ++r) {
    const std::vector<float> row = row_of(w, r);
    const std::vector<float> plain = round_trip(format_, row), weighted = round_trip(format_, row, importance);
    important_before += squared_error(row, plain, marked);
    important_after += squared_error(row, weighted, marked);
    before += squared_error(row, plain);
    after += squared_error(row, weighted);
  }
  EXPECT_LT(important_after, 0.9 * important_before);
  EXPECT_GT(after, before);
}

TEST_P(EveryBlockFormat, ImportanceHasNoUnitAndZeroMeansNothing) {
  const std::vector<float> row = row_of(generators::student_t(1, 512, 4), 0);
  std::vector<float> importance(512);
  for (std::size_t i = 0; i < importance.size(); ++i) importance[i] = static_cast<float>(i % 7 + 1);
  std::vector<float> scaled = importance;
  for (float& x : scaled) x *= 0x1p40F;
  EXPECT_TRUE(same_bytes(encoded(format_, row, importance), encoded(format_, row, scaled)));
  EXPECT_TRUE(same_bytes(encoded(format_, row), encoded(format_, row, std::vector<float>(512, 0.0F))));
}

TEST_P(EveryBlockFormat, ScalesByPowersOfTwo) {
  std::vector<float> row = row_of(generators::student_t(1, 512, 4), 0);
  for (float& x : row) x *= 64.0F;  // scales of blocks are normal binary16 numbers
  std::vector<float> scaled = row, expected = round_trip(format_, row);
  for (float& x : scaled) x *= 16.0F;
  for (float& x : expected) x *= 16.0F;
  EXPECT_TRUE(same_bytes(round_trip(format_, scaled), expected));
}

// Binary16 has nothing below 6e-8: what it cannot hold becomes zero, not its least number.
TEST_P(EveryBlockFormat, TinyWeightsAreNoWorseThanZeros) {
  const auto size = static_cast<std::size_t>(block_size(format_));
  for (const double weight : {1e-5, 1e-6, 3e-7, 1e-7, 3e-8, 1e-8, 1e-9, 1e-20}) {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
      const std::vector<float> row =
          sinq::test::generators::gaussian(1, static_cast<Index>(size), seed).times(weight / 0.02).values;
      const std::vector<float> zeros(size, 0.0F);
      EXPECT_LE(squared_error(row, round_trip(format_, row)), squared_error(row, zeros) * (1.0 + 1e-6)) << weight;
    }
  }
}

TEST_P(EveryBlockFormat, OnlyRatiosOfImportanceMatter) {
  const std::vector<float> row = sinq::test::generators::gaussian(1, 256, 9).values;
  const std::vector<float> plain = round_trip(format_, row);
  for (const float value : {1e36F, 1.0F, 1e-14F, 1e-38F, 1e-44F, 0.0F}) {
    EXPECT_TRUE(same_bytes(round_trip(format_, row, std::vector<float>(256, value)), plain)) << value;
  }
  std::vector<float> importance(256);
  for (std::size_t c = 0; c < importance.size(); ++c) importance[c] = static_cast<float>(1 + c % 13);
  const std::vector<float> weighted = round_trip(format_, row, importance);
  for (const float factor : {0x1p110F, 3.0F, 0x1p-120F}) {
    std::vector<float> other = importance;
    for (float& x : other) x *= factor;
    EXPECT_TRUE(same_bytes(round_trip(format_, row, other), weighted)) << factor;
  }
}

TEST_P(EveryBlockFormat, BlocksDependOnNothingButThemselves) {
  const std::vector<float> row = row_of(generators::mixed_scales(1, 1280, 8), 0);
  std::vector<float> importance(row.size());
  for (std::size_t i = 0; i < importance.size(); ++i) importance[i] = static_cast<float>(i % 7 + 1);
  std::vector<std::byte> one_by_one;
  const auto size = block_size(format_);
  for (std::ptrdiff_t at = 0; at < 1280; at += size) {
    const std::vector<float> weights(row.begin() + at, row.begin() + at + size);
    const std::vector<float> importances(importance.begin() + at, importance.begin() + at + size);
    const std::vector<std::byte> block = encoded(format_, weights, importances);
    one_by_one.insert(one_by_one.end(), block.begin(), block.end());
  }
  EXPECT_TRUE(same_bytes(encoded(format_, row, importance), one_by_one));
}

}  // namespace
}  // namespace sinq::test
