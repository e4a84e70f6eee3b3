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

  /// best[r] = the entry of the table with the least loss: the weighted sum of squares of what each column's error
  /// leaves of the feed, the errors of the same entry included.
  template <int kDim>
  SINQ_TARGET static void nearest_entries(const VectorQuery& query, float* best) noexcept {
    for (Index r = 0; r < kFeedRows; r += S::kWidth) {
      F weight[std::size_t{kDim}], feed[std::size_t{kDim}], step[std::size_t{kDim}];
      for (int k = 0; k < kDim; ++k) {
        weight[k] = S::load(query.weights + k * kFeedRows + r);
        feed[k] = S::load(query.feed + k * kFeedRows + r);
        step[k] = S::sub(S::zero(), S::load(query.steps + k * kFeedRows + r));
      }
      F least = S::set1(std::numeric_limits<float>::infinity()), index = S::zero();
      for (Index entry = 0; entry < query.count; ++entry) {
        F error[std::size_t{kDim}], loss = S::zero();
        SINQ_UNROLL
        for (int k = 0; k < kDim; ++k) {
          error[k] = S::fma(step[k], S::set1(query.table[entry * kDim + k]), weight[k]);
          F total = S::add(error[k], feed[k]);
          for (int i = 0; i < k; ++i) total = S::fma(error[i], S::set1(query.coupling[i * kFeedCols + k]), total);
          loss = S::fma(S::mul(total, S::set1(query.importance[k])), total, loss);
        }
        const auto better = S::less(loss, least);
        least = S::select(better, loss, least);
        index = S::select(better, S::set1(static_cast<float>(entry)), index);
      }
      S::store(best + r, index);
    }
  }

 private:
  struct Even {
    F top;
    SINQ_TARGET F round(F u, std::uint8_t* code) const noexcept {
      S::store_codes(code, u, top);
      return S::min(S::max(S::round(u), S::zero()), top);
    }
  };

  template <int kBits>
  struct Table {
    const PanelGrid& grid;
    SINQ_TARGET F round(F u, std::uint8_t* code) const noexcept {
      const typename S::I index = GroupKernels<SINQ_ISA>::template search<kBits>(grid.midpoints, grid.bits, u);
      S::store_indices(code, index);
      return kBits != 0 ? S::lookup16(grid.levels, index) : S::lookup(grid.levels, index);
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
        for (Index later = j + 1; later < count; ++later) {
          float* to = feed + later * kFeedRows + r;
          S::store(to, S::fma(error, S::set1(factor[j * kFeedCols + later]), S::load(to)));
        }
      }
    }
  }
};

}  // namespace sinq::inline SINQ_ABI::detail

#endif
