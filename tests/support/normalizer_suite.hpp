#pragma once

#include <sinq/normalize/normalizer.hpp>

#include "generators.hpp"
#include "isa_list.hpp"
#include "matchers.hpp"
#include "test_tile.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <utility>
#include <vector>

// What every model of the Normalizer concept keeps. To test one of your own:
//
//   struct MyTraits { static MyNormalizer make() { return {...}; } };
//   INSTANTIATE_TYPED_TEST_SUITE_P(Mine, NormalizerSuite, MyTraits);
namespace sinq::test {

template <class Traits>
class NormalizerSuite : public testing::Test {
 protected:
  struct Run {
    std::vector<float> row, col;
    BalanceReport report;
    bool tile_untouched = false;
    bool within_bounds = false;
  };

  static Run balance(const TestMatrix& w, Isa isa, float unit) {
    TestTile tile(w);
    const std::vector<float> before = tile.values();
    GuardedFloats row(w.rows), col(w.cols);
    Scratch scratch = dirty_scratch();
    Run run;
    run.report = Traits::make().balance(tile.view(unit), {row.data(), col.data()}, scratch, isa);
    run.row = row.values();
    run.col = col.values();
    run.tile_untouched = static_cast<bool>(same_bytes(before, tile.values()));
    run.within_bounds = row.intact() && col.intact() && tile.intact();
    return run;
  }
  static Run balance(const TestMatrix& w, Isa isa) { return balance(w, isa, unit_of(w)); }

  /// Calls f(matrix) for every generator and a choice of shapes. (Weights come scaled to about 1: the pipeline sees to
  /// that.)
  template <class F>
  static void for_each_matrix(F&& f) {
    static constexpr std::pair<Index, Index> kShapes[] = {{1, 1},   {1, 40},  {40, 1}, {2, 2},
                                                          {17, 15}, {33, 64}, {70, 31}};
    for (const auto* list : {&ordinary_generators(), &degenerate_generators()}) {
      for (const Generator& generator : *list) {
        for (const auto& [rows, cols] : kShapes) {
          const TestMatrix w = generator.make(rows, cols, 1);
          SCOPED_TRACE(std::string(generator.name) + ", " + std::to_string(rows) + " x " + std::to_string(cols));
          f(w.times(1.0 / static_cast<double>(unit_of(w))));
        }
      }
    }
  }
};

TYPED_TEST_SUITE_P(NormalizerSuite);

TYPED_TEST_P(NormalizerSuite, AcceptsItsOwnFields) { EXPECT_NO_THROW(TypeParam::make().validate()); }

TYPED_TEST_P(NormalizerSuite, FactorsArePositiveAndFinite) {
  this->for_each_matrix([&](const TestMatrix& w) {
    for (const Isa isa : supported_isas()) {
      const auto run = this->balance(w, isa);
      for (const auto* factors : {&run.row, &run.col}) {
        EXPECT_TRUE(all_finite(*factors)) << name(isa);
        for (const float f : *factors) EXPECT_GT(f, 0.0F) << name(isa);
      }
    }
  });
}

TYPED_TEST_P(NormalizerSuite, ReadsTheTileAndWritesItsFactorsOnly) {
  this->for_each_matrix([&](const TestMatrix& w) {
    for (const Isa isa : supported_isas()) {
      const auto run = this->balance(w, isa);
      EXPECT_TRUE(run.tile_untouched) << name(isa);
      EXPECT_TRUE(run.within_bounds) << name(isa);
    }
  });
}

TYPED_TEST_P(NormalizerSuite, IsDeterministic) {
  this->for_each_matrix([&](const TestMatrix& w) {
    for (const Isa isa : supported_isas()) {
      const auto once = this->balance(w, isa), twice = this->balance(w, isa);
      EXPECT_TRUE(same_bytes(once.row, twice.row)) << name(isa);
      EXPECT_TRUE(same_bytes(once.col, twice.col)) << name(isa);
      EXPECT_EQ(once.report.best_iteration, twice.report.best_iteration);
    }
  });
}

TYPED_TEST_P(NormalizerSuite, NeverReportsMoreImbalanceThanBefore) {
  this->for_each_matrix([&](const TestMatrix& w) {
    for (const Isa isa : supported_isas()) {
      const auto run = this->balance(w, isa);
      EXPECT_LE(run.report.imbalance_after, run.report.imbalance_before) << name(isa);
      EXPECT_GE(run.report.imbalance_after, 0.0F) << name(isa) << " (0: nothing but constants, as in the reference)";
    }
  });
}

TYPED_TEST_P(NormalizerSuite, MeasuresInUnits) {
  this->for_each_matrix([&](const TestMatrix& w) {
    const auto expected = this->balance(w, Isa::kBest, 1.0F);
    for (const int exponent : {-20, 20}) {
      const float unit = std::ldexp(1.0F, exponent);
      const auto actual = this->balance(w.times(static_cast<double>(unit)), Isa::kBest, unit);
      EXPECT_TRUE(same_bytes(actual.row, expected.row)) << exponent;
      EXPECT_TRUE(same_bytes(actual.col, expected.col)) << exponent;
    }
  });
}

// golden/FORMAT.md section 9: 2e-6 of a factor. Where one ulp decides which of two equally good iterates wins, only the
// imbalance that was reached can be compared; on the ordinary generators that does not happen.
TYPED_TEST_P(NormalizerSuite, InstructionSetsAgree) {
  for (const Generator& generator : ordinary_generators()) {
    const TestMatrix w = generator.make(65, 48, 2);
    const auto expected = this->balance(w, Isa::kPortable);
    for (const Isa isa : supported_isas()) {
      const auto actual = this->balance(w, isa);
      EXPECT_EQ(actual.report.best_iteration, expected.report.best_iteration) << name(isa) << ", " << generator.name;
      EXPECT_TRUE(all_near(actual.row, expected.row, 2e-6)) << name(isa) << ", " << generator.name;
      EXPECT_TRUE(all_near(actual.col, expected.col, 2e-6)) << name(isa) << ", " << generator.name;
    }
  }
}

REGISTER_TYPED_TEST_SUITE_P(NormalizerSuite, AcceptsItsOwnFields, FactorsArePositiveAndFinite,
                            ReadsTheTileAndWritesItsFactorsOnly, IsDeterministic, NeverReportsMoreImbalanceThanBefore,
                            MeasuresInUnits, InstructionSetsAgree);

}  // namespace sinq::test
