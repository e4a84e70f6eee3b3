// Compiled once per instruction set by error_feedback.hpp.
#ifdef SINQ_ISA

namespace sinq::inline SINQ_ABI::detail {

/// Lanes are rows of the matrix: factors are the same for all of them.
template <>
struct ErrorFeedback<SINQ_ISA> {
  using S = Simd<SINQ_ISA>;
  using F = S::F;

  /// targets[j][r] += sum over i < count of errors[i][r] * factor[i][j], for kFeedCols columns j.
  SINQ_TARGET static void feed_back(const float* errors, Index count, const float* factor, float* targets) noexcept {
    constexpr int kCols = static_cast<int>(kFeedCols);
    constexpr int kVectors = S::kWidth == 8 ? 1 : 2;  // AVX2 and plain C++ have 16 registers, the others 32
    for (Index r = 0; r < kFeedRows; r += kVectors * S::kWidth) {
      F sum[kCols][kVectors];
      SINQ_UNROLL
      for (int j = 0; j < kCols; ++j) {
        SINQ_UNROLL
        for (int v = 0; v < kVectors; ++v) sum[j][v] = S::load(targets + j * kFeedRows + r + v * S::kWidth);
      }
      for (Index i = 0; i < count; ++i) {
        F error[kVectors];
        SINQ_UNROLL
        for (int v = 0; v < kVectors; ++v) error[v] = S::load(errors + i * kFeedRows + r + v * S::kWidth);
        SINQ_UNROLL
        for (int j = 0; j < kCols; ++j) {
          const F by = S::set1(factor[i * kFeedCols + j]);
          SINQ_UNROLL
          for (int v = 0; v < kVectors; ++v) sum[j][v] = S::fma(by, error[v], sum[j][v]);
        }
      }
      SINQ_UNROLL
      for (int j = 0; j < kCols; ++j) {
        SINQ_UNROLL
        for (int v = 0; v < kVectors; ++v) S::store(targets + j * kFeedRows + r + v * S::kWidth, sum[j][v]);
      }
    }
  }

  /// Rounds `count` columns one after the other, each as its weights plus what earlier errors feed to it: codes
  /// [kFeedCols][kFeedRows], a byte each. Weights become errors, which are fed to the columns behind them by their
  /// rows of `factor` [kFeedCols][kFeedCols].
  SINQ_TARGET static void encode(float* weights, float* feed, Index count, const float* factor,
                                 const PanelColumn* columns, const PanelGrid& grid, std::uint8_t* codes) noexcept {
    if (grid.levels == nullptr) {
      encode_on(Even{S::set1(grid.top)}, weights, feed, count, factor, columns, codes);
    } else if (grid.bits == 4) {
      encode_on(Table<4>{grid}, weights, feed, count, factor, columns, codes);
    } else if (grid.bits == 3) {
      encode_on(Table<3>{grid}, weights, feed, count, factor, columns, codes);
    } else if (grid.bits == 2) {
      encode_on(Table<2>{grid}, weights, feed, count, factor, columns, codes);
    } else {
      encode_on(Table<0>{grid}, weights, feed, count, factor, columns, codes);
    }
  }

  /// As if all levels could be had: up to kFeedCols columns with the errors that cancel what is fed to them.
  SINQ_TARGET static void cancel(float* feed, Index count, const float* factor, float* errors) noexcept {
    for (Index r = 0; r < kFeedRows; r += S::kWidth) {
      for (Index j = 0; j < count; ++j) {
        const F error = S::sub(S::zero(), S::load(feed + j * kFeedRows + r));
        S::store(errors + j * kFeedRows + r, error);
        pass_on(error, j, count, factor, feed + r);
      }
    }
  }

  /// Moves the scales [kFeedRows] of a group to where its targets, each at its nearest level, have the least weighted
  /// squared error that is found; scales of which none is better, or that are 0, stay.
  SINQ_TARGET static void fit_scales(const ScaleQuery& query, const PanelGrid& grid, float* scale) noexcept {
    if (grid.levels == nullptr) {
      fit_on(Even{S::set1(grid.top)}, query, scale);
    } else if (grid.bits == 4) {
      fit_on(Table<4>{grid}, query, scale);
    } else if (grid.bits == 3) {
      fit_on(Table<3>{grid}, query, scale);
    } else if (grid.bits == 2) {
      fit_on(Table<2>{grid}, query, scale);
    } else {
      fit_on(Table<0>{grid}, query, scale);
    }
  }

 private:
  struct Even {
    F top;
    SINQ_TARGET F nearest(F u) const noexcept { return S::min(S::max(S::round(u), S::zero()), top); }
    SINQ_TARGET F round(F u, std::uint8_t* code) const noexcept {
      S::store_codes(code, u, top);
      return nearest(u);
    }
  };

  template <int kBits>
  struct Table {
    const PanelGrid& grid;
    SINQ_TARGET S::I search(F u) const noexcept {
      return GroupKernels<SINQ_ISA>::template search<kBits>(grid.midpoints, grid.bits, u);
    }
    SINQ_TARGET F level(S::I index) const noexcept {
      return kBits != 0 ? S::lookup16(grid.levels, index) : S::lookup(grid.levels, index);
    }
    SINQ_TARGET F nearest(F u) const noexcept { return level(search(u)); }
    SINQ_TARGET F round(F u, std::uint8_t* code) const noexcept {
      const typename S::I index = search(u);
      S::store_indices(code, index);
      return level(index);
    }
  };

  template <class Grid>
  SINQ_TARGET static void encode_on(const Grid& grid, float* weights, float* feed, Index count, const float* factor,
                                    const PanelColumn* columns, std::uint8_t* codes) noexcept {
    for (Index r = 0; r < kFeedRows; r += S::kWidth) {
      for (Index j = 0; j < count; ++j) {
        const F weight = S::load(weights + j * kFeedRows + r), offset = S::load(columns[j].offset + r);
        const F target = S::add(weight, S::load(feed + j * kFeedRows + r));
        const F u = S::mul(S::sub(target, offset), S::load(columns[j].inverse + r));
        const F level = grid.round(u, codes + j * kFeedRows + r);
        const F error = S::sub(weight, S::fma(level, S::load(columns[j].scale + r), offset));
        S::store(weights + j * kFeedRows + r, error);
        pass_on(error, j, count, factor, feed + r);
      }
    }
  }

  /// Feeds the error of column j to those behind it.
  SINQ_TARGET static void pass_on(F error, Index j, Index count, const float* factor, float* feed) noexcept {
    for (Index later = j + 1; later < count; ++later) {
      float* to = feed + later * kFeedRows;
      S::store(to, S::fma(error, S::set1(factor[j * kFeedCols + later]), S::load(to)));
    }
  }

  template <class Grid>
  SINQ_TARGET static void fit_on(const Grid& grid, const ScaleQuery& query, float* scale) noexcept {
    // A range that spans all weights of a group is wide for few levels, and fed-back targets reach beyond it.
    constexpr float kStarts[] = {1.0F, 0.9F, 0.8F, 1.1F};
    constexpr int kRounds = 2;  // of nearest levels and least squares
    const F tiny = S::set1(1e-30F);
    for (Index r = 0; r < kFeedRows; r += S::kWidth) {
      const F old = S::load(scale + r), zero = S::load(query.zero_point + r);
      const F lowest = S::mul(old, S::set1(0.5F)), highest = S::mul(old, S::set1(2.0F));
      F best = old, least = S::set1(std::numeric_limits<float>::infinity());
      for (const float start : kStarts) {
        F at = S::mul(old, S::set1(start));
        for (int round = 0; round <= kRounds; ++round) {
          const F inverse = S::div(S::set1(1.0F), S::max(at, tiny));
          F loss = S::zero(), vt = S::zero(), vv = S::zero();
          for (Index c = 0; c < query.count; ++c) {
            const F target = S::load(query.targets + c * kFeedRows + r), weight = S::set1(query.importance[c]);
            const F v = S::sub(grid.nearest(S::fma(target, inverse, zero)), zero);
            const F wv = S::mul(weight, v), error = S::sub(target, S::mul(v, at));
            loss = S::fma(S::mul(weight, error), error, loss);
            vt = S::fma(wv, target, vt);
            vv = S::fma(wv, v, vv);
          }
          const auto better = S::less(loss, least);
          least = S::select(better, loss, least);
          best = S::select(better, at, best);
          at = S::min(S::max(S::div(vt, S::max(vv, tiny)), lowest), highest);
        }
      }
      S::store(scale + r, best);
    }
  }
};

}  // namespace sinq::inline SINQ_ABI::detail

#endif
