#pragma once

#include <sinq/quantizers/group_quantizer.hpp>

#include "generators.hpp"
#include "isa_list.hpp"
#include "matchers.hpp"
#include "test_tile.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

// What every model of the TileQuantizer concept keeps, and every GroupQuantizer once it is lifted by PerGroup. To test
// one of your own:
//
//   struct MyTraits {
//     static MyQuantizer make() { return {...}; }
//     static constexpr int kUnusedCodes = 0;  // at the upper end, which `encode` never writes
//   };
//   INSTANTIATE_TYPED_TEST_SUITE_P(Mine, GroupQuantizerSuite, MyTraits);
namespace sinq::test {

/// One call of fit and encode on a tile.
struct QuantizedTile {
  Index groups = 0, stride = 0;
  std::vector<float> scale, zero;   ///< [groups][stride]
  std::vector<std::uint8_t> codes;  ///< [rows][cols]
  bool within_bounds = false;

  [[nodiscard]] std::size_t at(Index r, Index g) const { return static_cast<std::size_t>(g * stride + r); }
};

/// A quantizer behind plain functions, so that the tests below are compiled once and not once a type.
struct AnyQuantizer {
  CodeFormat format;
  FitScope scope = FitScope::kRows;
  bool lifted = false;  ///< a GroupQuantizer inside PerGroup
  int unused_codes = 0;
  std::function<void()> validate;
  std::function<void(const TileView&, Index, const GroupParams&, Scratch&, Isa)> fit;
  std::function<void(const TileView&, Index, const GroupParams&, std::uint8_t*, Index, Isa)> encode;

  /// The value of each code, without those that are never used.
  [[nodiscard]] std::vector<double> levels() const {
    std::vector<double> out;
    for (int code = 0; code < (1 << format.bits) - unused_codes; ++code) {
      out.push_back(format.levels.empty() ? code : static_cast<double>(format.levels[static_cast<std::size_t>(code)]));
    }
    return out;
  }
};

/// `quantizer` must outlive the result: its format may refer to its levels.
template <TileQuantizer Q>
AnyQuantizer erase(const Q& quantizer) {
  AnyQuantizer out;
  out.format = quantizer.format();
  out.scope = Q::kFitScope;
  out.validate = [&quantizer] { quantizer.validate(); };
  out.fit = [&quantizer](const TileView& tile, Index group_size, const GroupParams& params, Scratch& scratch,
                         Isa limit) { quantizer.fit(tile, group_size, params, scratch, limit); };
  out.encode = [&quantizer](const TileView& tile, Index group_size, const GroupParams& params, std::uint8_t* codes,
                            Index stride,
                            Isa limit) { quantizer.encode(tile, group_size, params, codes, stride, limit); };
  return out;
}

template <class Traits>
class GroupQuantizerSuite : public testing::Test {
 protected:
  using Made = decltype(Traits::make());

  static AnyQuantizer quantizer() {
    AnyQuantizer out;
    if constexpr (TileQuantizer<Made>) {
      static const Made made = Traits::make();
      out = erase(made);
    } else {
      static const PerGroup<Made> made{Traits::make()};
      out = erase(made);
      out.lifted = true;
    }
    out.unused_codes = Traits::kUnusedCodes;
    return out;
  }
};

namespace quantizer_suite {

/// The codes of `tile`, without padding. Rows may overlap the next by the tile's padding, the last by one vector.
inline std::vector<std::uint8_t> encode(const AnyQuantizer& quantizer, TestTile& tile, const TestMatrix& w,
                                        Index group_size, const GroupParams& params, Isa isa) {
  constexpr std::uint8_t kCanary = 0xa5;
  const Index stride = tile.view().stride;
  std::vector<std::uint8_t> padded(static_cast<std::size_t>(w.rows * stride + 2 * kTileStride), kCanary);
  quantizer.encode(tile.view(), group_size, params, padded.data(), stride, isa);
  for (Index i = 0; i < kTileStride; ++i) {
    EXPECT_EQ(padded[static_cast<std::size_t>(w.rows * stride + kTileStride + i)], kCanary) << "wrote too far";
  }
  std::vector<std::uint8_t> codes;
  for (Index r = 0; r < w.rows; ++r) {
    codes.insert(codes.end(), padded.begin() + r * stride, padded.begin() + r * stride + w.cols);
  }
  return codes;
}

inline QuantizedTile run(const AnyQuantizer& quantizer, const TestMatrix& w, Index group_size, Isa isa, float unit) {
  TestTile tile(w);
  QuantizedTile out;
  out.groups = ceil_div(w.cols, group_size);
  out.stride = round_up(w.rows, kTileStride);
  GuardedFloats scale(out.groups * out.stride), zero(out.groups * out.stride);
  const GroupParams params{scale.data(), zero.data(), out.stride};
  Scratch scratch = dirty_scratch();
  quantizer.fit(tile.view(unit), group_size, params, scratch, isa);
  out.scale = scale.values();
  out.zero = zero.values();
  out.codes = encode(quantizer, tile, w, group_size, params, isa);
  out.within_bounds = scale.intact() && zero.intact() && tile.intact();
  return out;
}

/// Calls f(matrix, group_size) for every generator and a choice of shapes. Weights come scaled to about 1.
inline void for_each_matrix(const std::function<void(const TestMatrix&, Index)>& f) {
  struct Shape {
    Index rows, cols, group_size;
  };
  static constexpr Shape kShapes[] = {{1, 1, 8}, {1, 40, 16}, {40, 1, 64}, {17, 15, 8}, {33, 72, 32}, {5, 130, 64}};
  for (const auto* list : {&ordinary_generators(), &degenerate_generators()}) {
    for (const Generator& generator : *list) {
      for (const Shape& shape : kShapes) {
        const TestMatrix w = generator.make(shape.rows, shape.cols, 1);
        SCOPED_TRACE(std::string(generator.name) + ", " + std::to_string(shape.rows) + " x " +
                     std::to_string(shape.cols) + ", group " + std::to_string(shape.group_size));
        f(w.times(1.0 / static_cast<double>(unit_of(w))), shape.group_size);
      }
    }
  }
}

inline void describes_its_codes(const AnyQuantizer& quantizer) {
  EXPECT_NO_THROW(quantizer.validate());
  const CodeFormat format = quantizer.format;
  EXPECT_GE(format.bits, 1);
  EXPECT_LE(format.bits, 8);
  EXPECT_TRUE(std::isfinite(format.shared_zero_point));
  if (format.levels.empty()) return;
  EXPECT_EQ(format.levels.size(), std::size_t{1} << format.bits);
  EXPECT_TRUE(all_finite(format.levels));
  EXPECT_TRUE(std::is_sorted(format.levels.begin(), format.levels.end()));
}

inline void fits_finite_parameters(const AnyQuantizer& quantizer) {
  const CodeFormat format = quantizer.format;
  for_each_matrix([&](const TestMatrix& w, Index group_size) {
    for (const Isa isa : supported_isas()) {
      const QuantizedTile q = run(quantizer, w, group_size, isa, unit_of(w));
      EXPECT_TRUE(q.within_bounds) << name(isa);
      for (Index g = 0; g < q.groups; ++g) {
        for (Index r = 0; r < w.rows; ++r) {
          ASSERT_TRUE(std::isfinite(q.scale[q.at(r, g)])) << name(isa) << ", row " << r;
          ASSERT_GE(q.scale[q.at(r, g)], 0.0F) << name(isa) << ", row " << r << " (0: the group is zero)";
          ASSERT_TRUE(std::isfinite(q.zero[q.at(r, g)])) << name(isa) << ", row " << r;
          if (format.symmetry == Symmetry::kSymmetric) {
            ASSERT_EQ(q.zero[q.at(r, g)], format.shared_zero_point);
          }
        }
      }
    }
  });
}

// Which level is nearest is known to 4e-6 of the sum w / scale + zero that float computes (FORMAT.md section 9: 2e-6 of
// a scale).
inline void encodes_to_the_nearest_level(const AnyQuantizer& quantizer) {
  const std::vector<double> levels = quantizer.levels();
  for_each_matrix([&](const TestMatrix& w, Index group_size) {
    for (const Isa isa : supported_isas()) {
      const QuantizedTile q = run(quantizer, w, group_size, isa, unit_of(w));
      for (Index r = 0; r < w.rows; ++r) {
        for (Index c = 0; c < w.cols; ++c) {
          const std::size_t group = q.at(r, c / group_size);
          if (q.scale[group] == 0.0F) {
            ASSERT_EQ(w(r, c), 0.0F) << "no scale, but not zero";
            continue;
          }
          const auto zero = static_cast<double>(q.zero[group]);
          const double x = static_cast<double>(w(r, c)) / static_cast<double>(q.scale[group]) + zero;
          const double target = std::clamp(x, levels.front(), levels.back());
          double best = std::numeric_limits<double>::infinity();
          for (const double level : levels) best = std::min(best, std::abs(level - target));
          const std::size_t code = q.codes[static_cast<std::size_t>(r * w.cols + c)];
          ASSERT_LT(code, levels.size()) << name(isa);
          const double tolerance =
              4e-6 * (std::abs(zero) + std::max(std::abs(levels.front()), std::abs(levels.back())));
          ASSERT_LE(std::abs(levels[code] - target), best + tolerance) << name(isa) << ", row " << r << ", col " << c;
        }
      }
    }
  });
}

// Every code, under scales and zero points as they come: what it stands for is encoded as that code again (or as the
// first code of the same level).
inline void encodes_what_a_code_stands_for_as_that_code(const AnyQuantizer& quantizer) {
  const std::vector<double> levels = quantizer.levels();
  const auto count = static_cast<Index>(levels.size());
  const CodeFormat format = quantizer.format;
  Random random(3);
  constexpr Index kRows = 19;
  TestMatrix w(kRows, count);
  std::vector<float> scale(32), zero(32);
  for (Index r = 0; r < kRows; ++r) {
    const auto i = static_cast<std::size_t>(r);
    scale[i] = static_cast<float>(std::exp2(random.uniform() * 20 - 10));
    zero[i] = format.symmetry == Symmetry::kSymmetric
                  ? format.shared_zero_point
                  : static_cast<float>(levels.front() + random.uniform() * (levels.back() - levels.front()));
    for (Index c = 0; c < count; ++c) {
      w(r, c) = static_cast<float>((levels[static_cast<std::size_t>(c)] - static_cast<double>(zero[i])) *
                                   static_cast<double>(scale[i]));
    }
  }
  TestTile tile(w);
  for (const Isa isa : supported_isas()) {
    const auto codes = encode(quantizer, tile, w, round_up(count, 8), {scale.data(), zero.data(), 32}, isa);
    for (Index r = 0; r < kRows; ++r) {
      for (Index c = 0; c < count; ++c) {
        const auto first = std::find(levels.begin(), levels.end(), levels[static_cast<std::size_t>(c)]);
        ASSERT_EQ(codes[static_cast<std::size_t>(r * count + c)], first - levels.begin()) << name(isa) << ", row " << r;
      }
    }
  }
}

inline void is_deterministic(const AnyQuantizer& quantizer) {
  for_each_matrix([&](const TestMatrix& w, Index group_size) {
    const QuantizedTile once = run(quantizer, w, group_size, Isa::kBest, unit_of(w));
    const QuantizedTile twice = run(quantizer, w, group_size, Isa::kBest, unit_of(w));
    EXPECT_EQ(once.codes, twice.codes);
    for (Index g = 0; g < once.groups; ++g) {
      for (Index r = 0; r < w.rows; ++r) {
        EXPECT_EQ(once.scale[once.at(r, g)], twice.scale[once.at(r, g)]);
        EXPECT_EQ(once.zero[once.at(r, g)], twice.zero[once.at(r, g)]);
      }
    }
  });
}

inline void measures_in_units(const AnyQuantizer& quantizer) {
  if (quantizer.lifted) GTEST_SKIP() << "sees groups, not tiles: floors of its own are its own affair";
  for_each_matrix([&](const TestMatrix& w, Index group_size) {
    const QuantizedTile expected = run(quantizer, w, group_size, Isa::kBest, 1.0F);
    for (const int exponent : {-20, 20}) {
      const float unit = std::ldexp(1.0F, exponent);
      const QuantizedTile actual = run(quantizer, w.times(static_cast<double>(unit)), group_size, Isa::kBest, unit);
      EXPECT_EQ(actual.codes, expected.codes) << exponent;
      for (Index g = 0; g < expected.groups; ++g) {
        for (Index r = 0; r < w.rows; ++r) {
          const std::size_t i = expected.at(r, g);
          ASSERT_EQ(actual.scale[i], std::ldexp(expected.scale[i], exponent)) << exponent;
          ASSERT_EQ(actual.zero[i], expected.zero[i]) << exponent;
        }
      }
    }
  });
}

// FitScope::kRows promises that rows know nothing of each other.
inline void rows_are_independent_if_it_says_so(const AnyQuantizer& quantizer) {
  if (quantizer.scope == FitScope::kTile) GTEST_SKIP() << "decides for the whole tile";
  for (const Generator& generator : ordinary_generators()) {
    const TestMatrix w = generator.make(37, 40, 4);
    const QuantizedTile whole = run(quantizer, w, 16, Isa::kBest, 1.0F);
    for (const Index row : {0, 15, 16, 36}) {
      TestMatrix one(1, w.cols);
      for (Index c = 0; c < w.cols; ++c) one(0, c) = w(row, c);
      const QuantizedTile alone = run(quantizer, one, 16, Isa::kBest, 1.0F);
      for (Index g = 0; g < whole.groups; ++g) {
        EXPECT_EQ(alone.scale[alone.at(0, g)], whole.scale[whole.at(row, g)]) << generator.name;
        EXPECT_EQ(alone.zero[alone.at(0, g)], whole.zero[whole.at(row, g)]) << generator.name;
      }
      EXPECT_TRUE(std::equal(alone.codes.begin(), alone.codes.end(), whole.codes.begin() + row * w.cols));
    }
  }
}

}  // namespace quantizer_suite

TYPED_TEST_SUITE_P(GroupQuantizerSuite);
TYPED_TEST_P(GroupQuantizerSuite, DescribesItsCodes) { quantizer_suite::describes_its_codes(this->quantizer()); }
TYPED_TEST_P(GroupQuantizerSuite, FitsFiniteParameters) { quantizer_suite::fits_finite_parameters(this->quantizer()); }
TYPED_TEST_P(GroupQuantizerSuite, EncodesToTheNearestLevel) {
  quantizer_suite::encodes_to_the_nearest_level(this->quantizer());
}
TYPED_TEST_P(GroupQuantizerSuite, EncodesWhatACodeStandsForAsThatCode) {
  quantizer_suite::encodes_what_a_code_stands_for_as_that_code(this->quantizer());
}
TYPED_TEST_P(GroupQuantizerSuite, IsDeterministic) { quantizer_suite::is_deterministic(this->quantizer()); }
TYPED_TEST_P(GroupQuantizerSuite, MeasuresInUnits) { quantizer_suite::measures_in_units(this->quantizer()); }
TYPED_TEST_P(GroupQuantizerSuite, RowsAreIndependentIfItSaysSo) {
  quantizer_suite::rows_are_independent_if_it_says_so(this->quantizer());
}
REGISTER_TYPED_TEST_SUITE_P(GroupQuantizerSuite, DescribesItsCodes, FitsFiniteParameters, EncodesToTheNearestLevel,
                            EncodesWhatACodeStandsForAsThatCode, IsDeterministic, MeasuresInUnits,
                            RowsAreIndependentIfItSaysSo);

}  // namespace sinq::test
