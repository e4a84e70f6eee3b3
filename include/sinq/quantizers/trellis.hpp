#pragma once

#include <sinq/compiled.hpp>
#include <sinq/detail/vector.hpp>
#include <sinq/quantizers/panel_quantizer.hpp>
#include <sinq/quantizers/trellis_search.hpp>
#include <sinq/quantizers/trellis_start.hpp>

#include <cmath>
#include <optional>
#include <span>

namespace sinq::inline SINQ_ABI {

namespace detail {
class TrellisEncoder;
}

/// The lane trellis (packing/lane_trellis.hpp): 1.5 to 4.5 bits a weight, each weight's level a function of the last
/// twelve bits of its lane's stream. Codes are the best path of all (`detail::TrellisSearch`), the tables of levels are
/// learned from a sample of the matrix, and group scales are fitted by least squares in turns with the codes. Groups
/// have a scale and no zero point. (Trellis-coded quantization: Marcellin and Fischer 1990; QTIP, arXiv 2406.11235.)
struct Trellis {
  double rate = 2.5;   ///< bits per weight: a multiple of 1/4
  int rounds = 3;      ///< searches of each panel; after each its scales are fitted to the codes
  int iterations = 4;  ///< of learning: searches of the sample, tables and scales fitted after each
  bool exact = true;   ///< the last search is for the best path of all; others (false: all) have costs of 8 bits only

  friend bool operator==(const Trellis&, const Trellis&) = default;

  /// More than three times the default's speed: panels are searched once, with costs of 8 bits, under guessed scales.
  /// Gaussian weights have 2 to 4% more squared error; of heavy tails (Student's t) 7 to 9% at 2 and 2.5 bits, 18% at 3
  /// and 68% at 4.
  [[nodiscard]] static Trellis fast(double rate) { return {.rate = rate, .rounds = 1, .exact = false}; }

  /// Throws Errc::kBadConfig.
  void validate() const {
    const auto refuse = [](const auto&... parts) { SINQ_THROW(Errc::kBadConfig, detail::text("Trellis: ", parts...)); };
    if (!(rate >= kLeastRate && rate <= kMostRate) || rate * 4.0 != std::floor(rate * 4.0)) {
      refuse("rate ", rate, " is not a multiple of 0.25 in ", kLeastRate, "..", kMostRate);
    }
    if (rounds < 1 || rounds > 100) refuse("rounds ", rounds, " is not in 1..100");
    if (iterations < 0 || iterations > 1000) refuse("iterations ", iterations, " is not in 0..1000");
  }

  [[nodiscard]] int quarter_bits() const noexcept { return static_cast<int>(rate * 4.0); }

  /// Before the tables are learned.
  [[nodiscard]] CodeFormat format() const noexcept {
    return {.bits = 0,
            .symmetry = Symmetry::kSymmetric,
            .byte_levels = detail::trellis_start(quarter_bits()).tables.bytes(),
            .quarter_bits = quarter_bits()};
  }

  [[nodiscard]] detail::TrellisEncoder encoder() const;

 private:
  static constexpr double kLeastRate = 0.25 * TrellisGeometry::kMinQuarterBits;
  static constexpr double kMostRate = 0.25 * TrellisGeometry::kMaxQuarterBits;
};

namespace detail {

/// Group scales below this are none: the group decodes to (nearly) nothing and has no say.
inline constexpr float kLeastScale = 0x1p-90F;

/// Memory of one thread that encodes panels: 8 bytes for every weight of a panel, and the search's.
struct PanelMemory {
  Vector<float> targets, weights;  ///< [steps][64]
  TrellisMemory search;
};

/// `Trellis` at work on one matrix.
class TrellisEncoder {
 public:
  using Memory = PanelMemory;

  explicit TrellisEncoder(const Trellis& settings)
      : settings_(settings), tables_(trellis_start(settings.quarter_bits()).tables) {}

  CodeFormat format() const&& = delete;  // it points into this object
  [[nodiscard]] CodeFormat format() const& noexcept {
    CodeFormat format = settings_.format();
    format.byte_levels = tables_.bytes();
    return format;
  }
  [[nodiscard]] int rounds() const noexcept { return settings_.rounds; }

  /// Learns the tables from pieces of panels, one group of columns each. Before all that follows.
  void learn(std::span<const PanelView> sample, PanelMemory& memory, Isa limit);

  /// Scales to start from [groups][128].
  void guess_scales(const PanelView& panel, float* scales) const;

  /// The best windows [steps][64] under these scales, of a stream that is cyclic over the panel, for the search of this
  /// number.
  void encode(const PanelView& panel, const float* scales, int round, std::uint16_t* windows,
              PanelMemory& memory) const;

  /// The scales of least squared error for these windows, in place of the old ones.
  void fit_scales(const PanelView& panel, const std::uint16_t* windows, float* scales) const;

  /// What the search is to come near to under these scales [groups][128]: targets and weights of `memory`.
  static void aim(const PanelView& panel, const float* scales, PanelMemory& memory);

 private:
  void prepare(Isa limit);
  void calibrate(std::span<const PanelView> sample, const float* scales);

  Trellis settings_;
  TrellisTables tables_;
  std::optional<TrellisSearch> search_;
  std::array<float, static_cast<std::size_t>(TrellisGeometry::kStates)> levels_{};  ///< of every window
  float rms_per_scale_ = 1.0F;                                                      ///< of a group
};

}  // namespace detail

inline detail::TrellisEncoder Trellis::encoder() const { return detail::TrellisEncoder(*this); }

}  // namespace sinq::inline SINQ_ABI

#if SINQ_HAS_BODIES(SEARCH)
#include <sinq/detail/nth_smallest.hpp>
#include <sinq/quantizers/trellis_least_squares.hpp>

namespace sinq::inline SINQ_ABI::detail {

SINQ_DECL void TrellisEncoder::prepare(Isa limit) {
  for (std::size_t w = 0; w < levels_.size(); ++w) {
    levels_[w] = static_cast<float>(tables_.level(static_cast<std::uint32_t>(w)));
  }
  search_.emplace(tables_, settings_.quarter_bits(), limit);
}

SINQ_DECL void TrellisEncoder::learn(std::span<const PanelView> sample, PanelMemory& memory, Isa limit) {
  constexpr auto kRows = static_cast<std::size_t>(PanelView::kRows);
  const TrellisStart& start = trellis_start(settings_.quarter_bits());
  tables_ = start.tables;
  rms_per_scale_ = 1.0F / start.level;
  prepare(limit);
  Vector<float> scales(sample.size() * kRows);
  for (std::size_t i = 0; i < sample.size(); ++i) guess_scales(sample[i], scales.data() + i * kRows);
  for (int iteration = 0; iteration < settings_.iterations; ++iteration) {
    TrellisLeastSquares fit;
    Vector<Vector<std::uint16_t>> all(sample.size());
    for (std::size_t i = 0; i < sample.size(); ++i) {
      const PanelView& piece = sample[i];
      aim(piece, scales.data() + i * kRows, memory);
      all[i].resize(static_cast<std::size_t>(piece.steps * PanelView::kLanes));
      search_->search({.steps = piece.steps,
                       .commit = piece.steps,
                       .targets = memory.targets.data(),
                       .weights = memory.weights.data()},
                      all[i].data(), memory.search);
      for (std::size_t k = 0; k < all[i].size(); ++k) fit.add(all[i][k], memory.targets[k], memory.weights[k]);
    }
    const float unit = fit.solve(tables_);
    prepare(limit);
    for (std::size_t i = 0; i < sample.size(); ++i) {
      float* own = scales.data() + i * kRows;
      for (std::size_t r = 0; r < kRows; ++r) own[r] *= unit;
      fit_scales(sample[i], all[i].data(), own);
    }
  }
  calibrate(sample, scales.data());
}

/// Measures what scale suits a group of a given rms.
SINQ_DECL void TrellisEncoder::calibrate(std::span<const PanelView> sample, const float* scales) {
  constexpr auto kRows = static_cast<std::size_t>(PanelView::kRows);
  Vector<float> guessed(kRows);
  double fitted = 0.0, sum = 0.0;
  for (std::size_t i = 0; i < sample.size(); ++i) {
    guess_scales(sample[i], guessed.data());
    for (std::size_t r = 0; r < kRows; ++r) {
      if (!(guessed[r] > 0.0F)) continue;
      // The mean of ratios, so that no group has more to say than another.
      fitted += static_cast<double>(scales[i * kRows + r]) / static_cast<double>(guessed[r]);
      sum += 1.0;
    }
  }
  if (sum > 0.0 && fitted > 0.0) rms_per_scale_ *= static_cast<float>(sum / fitted);
}

SINQ_DECL void TrellisEncoder::guess_scales(const PanelView& panel, float* scales) const {
  for (Index g = 0; g < panel.groups(); ++g, scales += PanelView::kRows) {
    std::array<double, static_cast<std::size_t>(PanelView::kRows)> square{};
    const Index begin = g * panel.group_steps, end = std::min(begin + panel.group_steps, panel.steps);
    for (Index s = begin; s < end; ++s) {
      for (Index lane = 0; lane < PanelView::kLanes; ++lane) {
        const auto y = static_cast<double>(panel.weights[s * PanelView::kLanes + lane]);
        square[static_cast<std::size_t>(PanelView::row_of(s, lane))] += y * y;
      }
    }
    const auto count = static_cast<double>(panel.cols_of(g));
    for (std::size_t r = 0; r < square.size(); ++r) {
      scales[r] = static_cast<float>(std::sqrt(square[r] / count)) / rms_per_scale_;
    }
  }
}

/// Targets in units of a level, and weights: the squares of the scales, times what is known of the columns.
SINQ_DECL void TrellisEncoder::aim(const PanelView& panel, const float* scales, PanelMemory& memory) {
  constexpr Index kLanes = PanelView::kLanes;
  const auto count = static_cast<std::size_t>(panel.groups() * PanelView::kRows);
  // Rows share bits with their neighbours of a lane. Of rows very unlike, the small ones would pay for the others, and
  // costs have 16 bits: none counts for more, or less, than this many times the median.
  constexpr float kMostRatio = 16.0F;
  Vector<float> squares(count), sorted;
  for (std::size_t i = 0; i < count; ++i) {
    squares[i] = scales[i] * scales[i];
    if (scales[i] > 0.0F) sorted.push_back(squares[i]);
  }
  const std::size_t half = sorted.size() / 2;
  const float median = sorted.empty() ? 1.0F : std::max(nth_smallest(sorted.data(), sorted.size(), half), 1e-30F);
  Vector<float> inverse(count);
  for (std::size_t i = 0; i < count; ++i) {
    const bool usable = scales[i] > kLeastScale;
    inverse[i] = usable ? 1.0F / scales[i] : 0.0F;
    squares[i] = usable ? std::clamp(squares[i] / median, 1.0F / kMostRatio, kMostRatio) : 0.0F;
  }
  memory.targets.resize(static_cast<std::size_t>(panel.steps * kLanes));
  memory.weights.resize(memory.targets.size());
  for (Index s = 0; s < panel.steps; ++s) {
    const Index group = s / panel.group_steps * PanelView::kRows;
    for (Index lane = 0; lane < kLanes; ++lane) {
      const auto at = static_cast<std::size_t>(s * kLanes + lane);
      const auto row = static_cast<std::size_t>(group + PanelView::row_of(s, lane));
      memory.targets[at] = panel.weights[at] * inverse[row];
      const bool padding = PanelView::col_of(s, lane) >= panel.cols;
      memory.weights[at] = padding                       ? 0.0F
                           : panel.importance == nullptr ? squares[row]
                                                         : squares[row] * panel.importance[at];
    }
  }
}

SINQ_DECL void TrellisEncoder::encode(const PanelView& panel, const float* scales, int round, std::uint16_t* windows,
                                      PanelMemory& memory) const {
  aim(panel, scales, memory);
  const bool coarse = !settings_.exact || round + 1 < settings_.rounds;
  search_->search_panel(panel.steps, memory.targets.data(), memory.weights.data(), coarse, windows, memory.search);
}

SINQ_DECL void TrellisEncoder::fit_scales(const PanelView& panel, const std::uint16_t* windows, float* scales) const {
  constexpr Index kLanes = PanelView::kLanes;
  for (Index g = 0; g < panel.groups(); ++g, scales += PanelView::kRows) {
    std::array<double, static_cast<std::size_t>(PanelView::kRows)> pull{}, square{};
    const Index end = std::min((g + 1) * panel.group_steps, panel.steps);
    for (Index s = g * panel.group_steps; s < end; ++s) {
      for (Index lane = 0; lane < kLanes; ++lane) {
        if (PanelView::col_of(s, lane) >= panel.cols) continue;
        const Index at = s * kLanes + lane;
        const auto row = static_cast<std::size_t>(PanelView::row_of(s, lane));
        const auto level = static_cast<double>(levels_[windows[at]]);
        const double weighted = panel.importance == nullptr ? level : level * static_cast<double>(panel.importance[at]);
        pull[row] += weighted * static_cast<double>(panel.weights[at]);
        square[row] += weighted * level;
      }
    }
    for (std::size_t r = 0; r < pull.size(); ++r) {
      if (pull[r] > 0.0 && square[r] > 0.0) scales[r] = static_cast<float>(pull[r] / square[r]);
    }
  }
}

}  // namespace sinq::inline SINQ_ABI::detail
#endif
