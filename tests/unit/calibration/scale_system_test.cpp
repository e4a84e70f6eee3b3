#include <sinq/calibration/scale_system.hpp>

#include "support/generators.hpp"
#include "support/isa_list.hpp"

#include <Eigen/Cholesky>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace {

using sinq::Index;
using sinq::detail::kFeedCols;
using sinq::detail::kFeedRows;
using sinq::detail::ScaleSystem;
using sinq::detail::TriangularPanels;

/// H of `cols` columns that depend on each other, and errors and multiples of kFeedRows rows.
struct Problem {
  Index cols, group_size;
  Eigen::MatrixXd h;
  std::vector<float> errors, multiples;

  Problem(Index cols_, Index group_size_, std::uint64_t seed) : cols(cols_), group_size(group_size_) {
    sinq::test::Random random(seed);
    Eigen::MatrixXd x(2 * cols, cols);
    for (Index i = 0; i < x.rows(); ++i) {
      for (Index k = 0; k < cols; ++k) x(i, k) = random.gaussian() + (k > 0 ? 0.8 * x(i, k - 1) : 0.0);
    }
    h = (x.transpose() * x / static_cast<double>(x.rows())).cast<float>().cast<double>();
    const Index padded = sinq::round_up(cols, kFeedCols) * kFeedRows;
    errors.assign(static_cast<std::size_t>(padded), 0.0F);
    multiples.assign(static_cast<std::size_t>(padded), 0.0F);
    for (Index i = 0; i < cols * kFeedRows; ++i) {
      errors[static_cast<std::size_t>(i)] = static_cast<float>(0.3 * random.gaussian());
      multiples[static_cast<std::size_t>(i)] = static_cast<float>(random.between(-4, 4));
    }
  }
  [[nodiscard]] TriangularPanels panels() const {
    return {cols, [&](Index i, Index k) { return h(i, k); }, [&](Index k) { return h(k, k); }, sinq::Serial{}};
  }
  [[nodiscard]] Index groups() const { return sinq::ceil_div(cols, group_size); }
  [[nodiscard]] Eigen::VectorXd error(Index r) const { return column(errors, r); }
  /// Row r's multiples [cols, groups], zero outside their group.
  [[nodiscard]] Eigen::MatrixXd by_group(Index r) const {
    const Eigen::VectorXd v = column(multiples, r);
    Eigen::MatrixXd out = Eigen::MatrixXd::Zero(cols, groups());
    for (Index c = 0; c < cols; ++c) out(c, c / group_size) = v[c];
    return out;
  }
  [[nodiscard]] double loss(Index r, const Eigen::VectorXd& change) const {
    const Eigen::VectorXd e = error(r) - by_group(r) * change;
    return e.dot(h * e);
  }

 private:
  [[nodiscard]] Eigen::VectorXd column(const std::vector<float>& all, Index r) const {
    Eigen::VectorXd out(cols);
    for (Index c = 0; c < cols; ++c) out[c] = static_cast<double>(all[static_cast<std::size_t>(c * kFeedRows + r)]);
    return out;
  }
};

double exact(Index, double scale) { return scale; }

TEST(ScaleSystemTest, FindsTheLeastSquaresSolution) {
  for (const Index cols : {64, 77}) {
    for (const Index group_size : {8, 32, 128}) {
      const Problem problem(cols, group_size, 1);
      const TriangularPanels panels = problem.panels();
      for (const sinq::Isa isa : sinq::test::supported_isas()) {
        ScaleSystem system(panels, group_size);
        ASSERT_EQ(system.groups(), problem.groups());
        system.assemble(problem.errors.data(), problem.multiples.data(), isa);
        for (Index r = 0; r < kFeedRows; ++r) {
          const Eigen::MatrixXd v = problem.by_group(r);
          const Eigen::VectorXd expected =
              (v.transpose() * problem.h * v).llt().solve(v.transpose() * problem.h * problem.error(r));
          std::vector<double> scales(static_cast<std::size_t>(problem.groups()), 2.0);
          ASSERT_TRUE(system.solve(r, scales, exact));
          for (Index g = 0; g < problem.groups(); ++g) {
            EXPECT_NEAR(scales[static_cast<std::size_t>(g)], 2.0 + expected[g], 2e-5) << name(isa);
          }
        }
      }
    }
  }
}

// Rounded to a coarse grid: the loss falls, or nothing changes; and each rounding is made up for by what comes after
// it.
TEST(ScaleSystemTest, RoundedScalesNeverRaiseTheLoss) {
  const Problem problem(64, 8, 2);
  const TriangularPanels panels = problem.panels();
  ScaleSystem system(panels, 8);
  system.assemble(problem.errors.data(), problem.multiples.data(), sinq::Isa::kBest);
  double rounded_after = 0.0, in_turn = 0.0;
  Index kept = 0;
  for (const double step : {0.002, 0.02, 0.2}) {
    const auto nearest = [&](Index, double scale) { return std::round(scale / step) * step; };
    for (Index r = 0; r < kFeedRows; ++r) {
      const Eigen::VectorXd nothing = Eigen::VectorXd::Zero(8);
      std::vector<double> best(8, 2.0), scales(8, 2.0);
      ASSERT_TRUE(system.solve(r, best, exact));
      const bool better = system.solve(r, scales, nearest);
      Eigen::VectorXd change(8), plain(8);
      for (Index g = 0; g < 8; ++g) {
        change[g] = scales[static_cast<std::size_t>(g)] - 2.0;
        plain[g] = nearest(g, best[static_cast<std::size_t>(g)]) - 2.0;
      }
      if (!better) {
        ++kept;
        EXPECT_EQ(change, nothing);
        continue;
      }
      EXPECT_LT(problem.loss(r, change), problem.loss(r, nothing));
      in_turn += problem.loss(r, change);
      rounded_after += problem.loss(r, plain);
    }
  }
  EXPECT_GT(kept, 0);
  EXPECT_LT(kept, 2 * kFeedRows);
  EXPECT_LT(in_turn, rounded_after);
}

TEST(ScaleSystemTest, GroupsOfZerosKeepTheirScale) {
  Problem problem(48, 16, 3);
  std::fill_n(problem.multiples.begin() + 16 * kFeedRows, 16 * kFeedRows, 0.0F);
  const TriangularPanels panels = problem.panels();
  ScaleSystem system(panels, 16);
  system.assemble(problem.errors.data(), problem.multiples.data(), sinq::Isa::kBest);
  std::vector<double> scales(3, 2.0);
  ASSERT_TRUE(system.solve(5, scales, exact));
  EXPECT_NE(scales[0], 2.0);
  EXPECT_EQ(scales[1], 2.0);
  EXPECT_NE(scales[2], 2.0);
}

}  // namespace
