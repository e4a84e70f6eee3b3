#pragma once

#include <sinq/detail/vector.hpp>
#include <sinq/packing/lane_trellis.hpp>

#include <algorithm>
#include <array>
#include <cmath>

namespace sinq::inline SINQ_ABI::detail {

/// The three tables of a trellis that leave the least squared error for given windows.
class TrellisLeastSquares {
 public:
  /// A weight of `target` levels that was coded by `window`.
  void add(std::uint16_t window, float target, float weight) noexcept {
    weight_[window] += static_cast<double>(weight);
    pull_[window] += static_cast<double>(weight) * static_cast<double>(target);
  }

  /// Fits one table after the other, starting from `tables`, and rounds them to bytes of a new unit, which is returned
  /// in units of the old one.
  [[nodiscard]] float solve(TrellisTables& tables) const {
    std::array<Table, 3> values;
    for (std::size_t i = 0; i < kEntries; ++i) {
      values[0][i] = tables.a[i];
      values[1][i] = tables.b[i];
      values[2][i] = tables.c[i];
    }
    constexpr int kSweeps = 4;
    for (int sweep = 0; sweep < kSweeps; ++sweep) {
      for (std::size_t t = 0; t < 3; ++t) fit_table(t, values);
    }
    // Constants may move between the tables: where each is as far above zero as below, the unit is least.
    double moved = 0.0;
    for (std::size_t t = 0; t < 2; ++t) {
      const auto [low, high] = std::minmax_element(values[t].begin(), values[t].end());
      const double middle = 0.5 * (*low + *high);
      for (double& x : values[t]) x -= middle;
      moved += middle;
    }
    for (double& x : values[2]) x += moved;
    double sum = 0.0;
    for (const Table& table : values) {
      double most = 0.0;
      for (const double x : table) most = std::max(most, std::fabs(x));
      sum += most;
    }
    if (!(sum > 0.0)) return 1.0F;
    const double unit = sum / kMostLevel;
    const auto stored = [&](double x) { return static_cast<std::int8_t>(std::nearbyint(x / unit)); };
    for (std::size_t i = 0; i < kEntries; ++i) {
      tables.a[i] = stored(values[0][i]);
      tables.b[i] = stored(values[1][i]);
      tables.c[i] = stored(values[2][i]);
    }
    return static_cast<float>(unit);
  }

 private:
  static constexpr std::size_t kEntries = TrellisTables::kEntries;
  static constexpr auto kStates = static_cast<std::size_t>(TrellisGeometry::kStates);
  /// Three roundings of half a unit may add up to one and a half: with 127, a sum could be beyond it.
  static constexpr double kMostLevel = 125.5;
  using Table = std::array<double, kEntries>;

  void fit_table(std::size_t t, std::array<Table, 3>& values) const {
    Table pull{}, weight{};
    for (std::size_t w = 0; w < kStates; ++w) {
      const auto at = TrellisTables::entries(static_cast<std::uint32_t>(w));
      double others = 0.0;
      for (std::size_t k = 0; k < 3; ++k) others += k == t ? 0.0 : values[k][at[k]];
      pull[at[t]] += pull_[w] - weight_[w] * others;
      weight[at[t]] += weight_[w];
    }
    for (std::size_t i = 0; i < kEntries; ++i) {
      if (weight[i] > 0.0) values[t][i] = pull[i] / weight[i];
    }
  }

  Vector<double> weight_ = Vector<double>(kStates), pull_ = Vector<double>(kStates);
};

}  // namespace sinq::inline SINQ_ABI::detail
