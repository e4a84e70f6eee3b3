#include <sinq/calibration/gptq.hpp>
#include <sinq/parallel/thread_pool.hpp>
#include <sinq/quantizers/nf4.hpp>

#include "calibration_support.hpp"
#include "support/isa_list.hpp"
#include "support/layouts.hpp"
#include "support/matchers.hpp"

#include <Eigen/Cholesky>
#include <Eigen/LU>
#include <gtest/gtest.h>

#include <limits>
#include <numeric>
#include <vector>

namespace {

using sinq::ActivationStats;
using sinq::AnyConfig;
using sinq::ColumnOrder;
using sinq::Config;
using sinq::Errc;
using sinq::GptqOptions;
using sinq::Index;
using sinq::Layout;
using sinq::MatrixView;
using sinq::OffsetKind;
using sinq::QuantizedMatrix;
using sinq::QuantizedView;
using sinq::Region;
using sinq::test::activations;
using sinq::test::stats_of;
using sinq::test::TestMatrix;
using sinq::test::throws_error;
using sinq::test::view;

/// What row r decodes each code to in column c.
struct Decoder {
  const QuantizedView q;
  [[nodiscard]] double value(Index r, Index c, std::uint32_t code) const {
    float scale = 0.0F, zero = 0.0F, col = 0.0F;
    const Index g = c / q.layout().group_size;
    q.group_scales(g, {r, r + 1}, &scale);
    q.zero_points(g, {r, r + 1}, &zero);
    q.col_scales(r, {c, c + 1}, &col);
    const float level = q.levels() == nullptr ? static_cast<float>(code) : q.levels()[code];
    return (static_cast<double>(level) - static_cast<double>(zero)) * static_cast<double>(scale) *
           static_cast<double>(col) * static_cast<double>(q.layout().matrix_scale);
  }
  [[nodiscard]] std::uint32_t nearest(Index r, Index c, double x) const {
    std::uint32_t best = 0;
    for (std::uint32_t code = 1; code < 1U << q.layout().bits; ++code) {
      if (std::abs(value(r, c, code) - x) < std::abs(value(r, c, best) - x)) best = code;
    }
    return best;
  }
  [[nodiscard]] std::uint32_t code(Index r, Index c) const { return sinq::code_at(q.codes(r), c, q.layout().bits); }
};

/// GPTQ as published: the Cholesky factor of the inverse, one column after the other, in double. `damping` counts in
/// the normalized domain, as the library's. The codes of the rows that share `first`'s column scales.
std::vector<std::uint32_t> published_gptq(const TestMatrix& w, const ActivationStats& stats, const QuantizedView& q,
                                          double damping, const std::vector<Index>& order, Index first, Index end) {
  const Index cols = w.cols;
  std::vector<float> scale(static_cast<std::size_t>(cols));
  q.col_scales(first, {0, cols}, scale.data());
  Eigen::MatrixXd h(cols, cols);
  double mean = 0.0;
  for (Index c = 0; c < cols; ++c) {
    mean += stats.gram(c, c) * std::pow(scale[static_cast<std::size_t>(c)], 2) / static_cast<double>(cols);
  }
  for (Index i = 0; i < cols; ++i) {
    for (Index j = 0; j < cols; ++j) {
      const Index a = order[static_cast<std::size_t>(i)], b = order[static_cast<std::size_t>(j)];
      h(i, j) = stats.gram(a, b);
      // The ridge of the normalized domain, seen from the weights' own.
      if (i == j) h(i, j) += damping * mean / std::pow(scale[static_cast<std::size_t>(a)], 2);
      if (i == j && stats.gram(a, a) == 0.0) h(i, j) += mean / std::pow(scale[static_cast<std::size_t>(a)], 2);
    }
  }
  const Eigen::MatrixXd inverse = h.inverse();
  const Eigen::MatrixXd u = inverse.llt().matrixU();
  const Decoder decoder{q};
  std::vector<std::uint32_t> codes(w.values.size());
  for (Index r = first; r < end; ++r) {
    Eigen::RowVectorXd row(cols);
    for (Index k = 0; k < cols; ++k) row[k] = static_cast<double>(w(r, order[static_cast<std::size_t>(k)]));
    for (Index k = 0; k < cols; ++k) {
      const Index c = order[static_cast<std::size_t>(k)];
      const std::uint32_t code = decoder.nearest(r, c, row[k]);
      codes[static_cast<std::size_t>(r * cols + c)] = code;
      const double error = (row[k] - decoder.value(r, c, code)) / u(k, k);
      for (Index later = k; later < cols; ++later) row[later] -= error * u(k, later);
    }
  }
  return codes;
}

std::vector<Index> natural(Index cols) {
  std::vector<Index> out(static_cast<std::size_t>(cols));
  std::iota(out.begin(), out.end(), Index{0});
  return out;
}

/// The fraction of codes that differ. A near tie that falls to the other side changes what follows in its row.
double disagreement(const QuantizedView& q, const std::vector<std::uint32_t>& expected, Index first, Index end) {
  double different = 0.0;
  for (Index r = first; r < end; ++r) {
    for (Index c = 0; c < q.cols(); ++c) {
      different += Decoder{q}.code(r, c) != expected[static_cast<std::size_t>(r * q.cols() + c)] ? 1.0 : 0.0;
    }
  }
  return different / static_cast<double>((end - first) * q.cols());
}

/// Methods of every kind of grid, zero point and storage.
std::vector<AnyConfig> gptq_methods() {
  return {Config<>{.quantizer = {.bits = 4}, .group_size = 32},
          Config<>{.quantizer = {.bits = 2}, .group_size = 16, .aux = sinq::AuxFormat::kU8},
          Config<>{.quantizer = {.bits = 3, .symmetry = sinq::Symmetry::kSymmetric}, .group_size = 24},
          Config<sinq::Uniform, sinq::Identity>{.quantizer = {.bits = 8}, .group_size = 32},
          Config<sinq::Uniform, sinq::Identity>{.quantizer = {.bits = 1}, .aux = sinq::AuxFormat::kF32},
          Config<sinq::Codebook>{.quantizer = sinq::codebooks::kNf4, .group_size = 32},
          Config<sinq::LearnedCodebook>{.quantizer = sinq::LearnedCodebook(3), .aux = sinq::AuxFormat::kU6},
          Config<sinq::LearnedCodebook>{.quantizer = sinq::LearnedCodebook(5), .group_size = 32}};
}

TEST(Gptq, GivesTheCodesOfThePublishedAlgorithm) {
  const TestMatrix w = sinq::test::generators::mixed_scales(37, 90, 11);
  const ActivationStats stats = stats_of(activations(400, 90, 12));
  for (const sinq::Isa isa : sinq::test::supported_isas()) {
    for (const AnyConfig& config : gptq_methods()) {
      const QuantizedMatrix q =
          quantize_gptq(view(w), stats, config, {.damping = 0.02F, .refit_scales = false, .isa = isa});
      const double damping = static_cast<double>(0.02F);
      EXPECT_LT(disagreement(q, published_gptq(w, stats, q, damping, natural(90), 0, 37), 0, 37), 0.003)
          << name(isa) << ", method " << config.index() << ", " << q.layout().bits << " bits";
    }
  }
}

/// Whether all bytes from one region on, up to another, are those of `other`.
bool same_regions(QuantizedMatrix& q, QuantizedMatrix& other, Region first, Region end) {
  for (auto r = static_cast<int>(first); r < static_cast<int>(end); ++r) {
    if (!sinq::test::same_bytes(q.region(static_cast<Region>(r)), other.region(static_cast<Region>(r)))) return false;
  }
  return true;
}

constexpr auto kNoMoreRegions = static_cast<Region>(sinq::kRegionCount);

TEST(Gptq, LowersTheOutputsErrorAndTouchesOnlyCodesAndGroupScales) {
  const TestMatrix w = sinq::test::generators::mixed_scales(64, 128, 13);
  const TestMatrix x = activations(600, 128, 14);
  for (const AnyConfig& config : gptq_methods()) {
    QuantizedMatrix plain = quantize(view(w), config);
    QuantizedMatrix published = quantize_gptq(view(w), stats_of(x), config, {.refit_scales = false});
    EXPECT_LT(output_error(w, published, x), 0.8 * output_error(w, plain, x)) << plain.layout().bits << " bits";
    ASSERT_EQ(published.layout(), plain.layout());
    EXPECT_TRUE(same_regions(published, plain, Region::kGroupScale, kNoMoreRegions));
    QuantizedMatrix q = quantize_gptq(view(w), stats_of(x), config);
    EXPECT_LT(output_error(w, q, x), 0.9 * output_error(w, published, x)) << plain.layout().bits << " bits";
    ASSERT_EQ(q.layout(), plain.layout());
    EXPECT_FALSE(same_regions(q, plain, Region::kGroupScale, Region::kGroupScaleBlocks));
    EXPECT_TRUE(same_regions(q, plain, Region::kOffset, kNoMoreRegions));
  }
}

// Nothing to feed back: the codes that `quantize` chose, but for ties (between levels, and where a scale is 0).
TEST(Gptq, IndependentChannelsGetTheNearestLevels) {
  const TestMatrix w = sinq::test::generators::mixed_scales(40, 72, 15);
  TestMatrix x(72, 72);
  for (Index c = 0; c < 72; ++c) x(c, c) = 1.0F + static_cast<float>(c % 5);
  for (const AnyConfig& config : gptq_methods()) {
    QuantizedMatrix q = quantize(view(w), config);
    const Decoder decoder{q};
    gptq(view(w), stats_of(x), q, {.refit_scales = false});
    for (Index r = 0; r < w.rows; ++r) {
      for (Index c = 0; c < w.cols; ++c) {
        const double target = static_cast<double>(w(r, c));
        const double error = std::abs(decoder.value(r, c, decoder.code(r, c)) - target);
        const double least = std::abs(decoder.value(r, c, decoder.nearest(r, c, target)) - target);
        ASSERT_LE(error, least + 1e-5 * std::abs(target)) << r << ", " << c;
      }
    }
  }
}

TEST(Gptq, MostImportantColumnsFirst) {
  const TestMatrix w = sinq::test::generators::mixed_scales(33, 80, 16);
  const ActivationStats stats = stats_of(activations(300, 80, 17));
  const GptqOptions options{.order = ColumnOrder::kByActivation, .refit_scales = false};
  for (const AnyConfig& config : gptq_methods()) {
    const QuantizedMatrix q = quantize_gptq(view(w), stats, config, options);
    std::vector<float> scale(80);
    q.view().col_scales(0, {0, 80}, scale.data());
    std::vector<Index> order = natural(80);
    const auto importance = [&](Index c) { return stats.gram(c, c) * std::pow(scale[static_cast<std::size_t>(c)], 2); };
    std::sort(order.begin(), order.end(), [&](Index a, Index b) { return importance(a) > importance(b); });
    const auto expected = published_gptq(w, stats, q, static_cast<double>(options.damping), order, 0, 33);
    EXPECT_LT(disagreement(q, expected, 0, 33), 0.003) << q.layout().bits << " bits";
  }
}

TEST(Gptq, SquareTilesHaveColumnScalesOfTheirOwn) {
  const TestMatrix w = sinq::test::generators::mixed_scales(75, 64, 18);
  const ActivationStats stats = stats_of(activations(300, 64, 19));
  const Config<> config{.group_size = 32, .tiling = sinq::Tiling::kSquare};
  const QuantizedMatrix q = quantize_gptq(view(w), stats, config, {.refit_scales = false});
  ASSERT_EQ(q.layout().row_block, 32);
  for (Index first = 0; first < 75; first += 32) {
    const Index end = std::min<Index>(first + 32, 75);
    const auto expected = published_gptq(w, stats, q, static_cast<double>(0.01F), natural(64), first, end);
    EXPECT_LT(disagreement(q, expected, first, end), 0.003);
  }
}

// Where rows of different tasks share a minimum and a step, scales cannot follow.
TEST(Gptq, ScalesFollowInSquareTilesThatHoldWholeAuxBlocks) {
  const TestMatrix w = sinq::test::generators::mixed_scales(150, 128, 18);
  const TestMatrix x = activations(300, 128, 19);
  for (const sinq::AuxFormat aux : {sinq::AuxFormat::kF16, sinq::AuxFormat::kU8}) {
    for (const Index size : {32, 64}) {
      const Config<> config{.group_size = size, .tiling = sinq::Tiling::kSquare, .aux = aux};
      QuantizedMatrix published = quantize_gptq(view(w), stats_of(x), config, {.refit_scales = false});
      QuantizedMatrix q = quantize_gptq(view(w), stats_of(x), config);
      if (size == 32 && aux == sinq::AuxFormat::kU8) {
        EXPECT_TRUE(sinq::test::same_bytes(q.storage(), published.storage()));
      } else {
        EXPECT_LT(output_error(w, q, x), 0.95 * output_error(w, published, x)) << size;
      }
    }
  }
}

TEST(Gptq, IsTheSameForEveryNumberOfThreads) {
  const TestMatrix w = sinq::test::generators::mixed_scales(150, 136, 20);
  const ActivationStats stats = stats_of(activations(300, 136, 21));
  for (const sinq::AuxFormat aux : {sinq::AuxFormat::kF16, sinq::AuxFormat::kU6}) {
    for (const ColumnOrder order : {ColumnOrder::kNatural, ColumnOrder::kByActivation}) {
      const Config<> config{.aux = aux};
      const QuantizedMatrix serial = quantize_gptq(view(w), stats, config, {.order = order});
      for (const Index threads : {2, 3}) {
        const sinq::ThreadPool pool(threads);
        const QuantizedMatrix q = quantize_gptq(view(w), stats, config, {.order = order}, {}, pool);
        EXPECT_TRUE(sinq::test::same_bytes(q.storage(), serial.storage()));
      }
    }
  }
}

// Channels that the calibration never saw are rounded to nearest and take no part.
TEST(Gptq, DeadChannelsAreRoundedToNearest) {
  const TestMatrix w = sinq::test::generators::gaussian(20, 48, 22);
  TestMatrix x = activations(200, 48, 23);
  for (Index t = 0; t < x.rows; ++t) x(t, 0) = x(t, 20) = x(t, 47) = 0.0F;
  for (const float damping : {0.0F, 0.01F}) {
    const QuantizedMatrix q =
        quantize_gptq(view(w), stats_of(x), {.group_size = 16}, {.damping = damping, .refit_scales = false});
    const Decoder decoder{q};
    for (const Index c : {0, 20, 47}) {
      for (Index r = 0; r < w.rows; ++r) {
        EXPECT_EQ(decoder.code(r, c), decoder.nearest(r, c, static_cast<double>(w(r, c)))) << r << ", " << c;
      }
    }
    const auto expected = published_gptq(w, stats_of(x), q, static_cast<double>(damping), natural(48), 0, 20);
    EXPECT_LT(disagreement(q, expected, 0, 20), 0.003);
  }
  const TestMatrix silence(3, 48);
  const QuantizedMatrix plain = quantize(view(w)),
                        q = quantize_gptq(view(w), stats_of(silence), {}, {.refit_scales = false});
  EXPECT_LT(disagreement(
                q,
                [&] {
                  std::vector<std::uint32_t> codes;
                  for (Index r = 0; r < 20; ++r) {
                    for (Index c = 0; c < 48; ++c) codes.push_back(Decoder{plain}.code(r, c));
                  }
                  return codes;
                }(),
                0, 20),
            0.003);
}

TEST(Gptq, DegenerateMatricesStayWhatTheyWere) {
  const ActivationStats stats = stats_of(activations(200, 64, 24));
  for (const auto& generator : sinq::test::degenerate_generators()) {
    const TestMatrix w = generator.make(40, 64, 25);
    QuantizedMatrix q = quantize(view(w), Config<>{});
    const double before = output_error(w, q, activations(50, 64, 24));
    gptq(view(w), stats, q);
    EXPECT_LE(output_error(w, q, activations(50, 64, 24)), 1.05 * before + 1e-12) << generator.name;
  }
}

TEST(Gptq, LevelsNeedNotAscend) {
  const TestMatrix w = sinq::test::generators::gaussian(30, 40, 29);
  const ActivationStats stats = stats_of(activations(200, 40, 30));
  QuantizedMatrix q = quantize(view(w), Config<sinq::Codebook>{.quantizer = sinq::codebooks::kNf4});
  QuantizedMatrix reversed(q.layout());
  std::copy(q.storage().begin(), q.storage().end(), reversed.storage().begin());
  for (Index i = 0; i < 16; ++i) sinq::test::put(reversed, Region::kLevels, i, q.view().levels()[15 - i]);
  gptq(view(w), stats, q);
  gptq(view(w), stats, reversed);
  for (Index r = 0; r < 30; ++r) {
    for (Index c = 0; c < 40; ++c) ASSERT_EQ(Decoder{q}.code(r, c), 15 - Decoder{reversed}.code(r, c));
  }
}

TEST(Gptq, RefusesByName) {
  const TestMatrix w = sinq::test::generators::gaussian(16, 32, 31);
  const ActivationStats stats = stats_of(activations(100, 32, 32));
  QuantizedMatrix q = quantize(view(w), Config<>{});
  const std::vector<std::byte> before(q.storage().begin(), q.storage().end());
  const auto refuses = [&](Errc code, std::initializer_list<std::string_view> parts, auto&& f) {
    return throws_error(code, parts, f) && sinq::test::same_bytes(before, q.storage());
  };
  const TestMatrix taller = sinq::test::generators::gaussian(17, 32, 31);
  EXPECT_TRUE(refuses(Errc::kBadShape, {"17 x 32", "16 x 32"}, [&] { gptq(view(taller), stats, q); }));
  EXPECT_TRUE(refuses(Errc::kBadShape, {"24", "32"}, [&] { gptq(view(w), stats_of(activations(9, 24, 1)), q); }));
  EXPECT_TRUE(refuses(Errc::kBadData, {"no tokens"}, [&] { gptq(view(w), ActivationStats(32), q); }));
  EXPECT_TRUE(refuses(Errc::kBadConfig, {"kChannels", "kGram"},
                      [&] { gptq(view(w), stats_of(activations(9, 32, 1), sinq::StatsKind::kChannels), q); }));
  for (const float damping : {-0.01F, std::nanf(""), std::numeric_limits<float>::infinity()}) {
    EXPECT_TRUE(refuses(Errc::kBadConfig, {"damping"}, [&] { gptq(view(w), stats, q, {.damping = damping}); }));
  }
  // Two tokens span two dimensions of 32.
  const ActivationStats two = stats_of(activations(2, 32, 33));
  EXPECT_TRUE(refuses(Errc::kBadData, {"damping 0", "2 tokens"}, [&] { gptq(view(w), two, q, {.damping = 0.0F}); }));
  TestMatrix bad = w;
  bad(9, 5) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(refuses(Errc::kBadData, {"[9, 5]", "nan"}, [&] { gptq(view(bad), stats, q); }));
  QuantizedMatrix trellis = quantize(view(w), Config<sinq::Trellis>{});
  EXPECT_TRUE(throws_error(Errc::kUnsupported, {"kByActivation", "not with the lane trellis"},
                           [&] { gptq(view(w), stats, trellis, {.order = ColumnOrder::kByActivation}); }));
}

}  // namespace
