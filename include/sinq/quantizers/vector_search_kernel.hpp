// Compiled once per instruction set by vector_search.hpp.
#ifdef SINQ_ISA

namespace sinq::inline SINQ_ABI::detail {

/// Lanes are rows, as in LeastSquares: table entries are broadcast, and nothing is ever summed across lanes.
///
/// With u = |w| / scale, an entry's weighted squared distance is sum(i * u^2) - 2 pull + norm, with norm = sum(i * t^2)
/// and pull = sum(i * u * t): the search needs `norm`, which all rows share, and one product per component. The same
/// two sums give the least-squares scale, so that a fit never looks entries up.
template <>
struct VectorSearch<SINQ_ISA> {
  using S = Simd<SINQ_ISA>;
  using F = S::F;
  static constexpr int kWidth = S::kWidth;

  /// Fits the scale of `count` columns from `col` on for all rows. `work`: vector_search_floats.
  SINQ_TARGET static void fit(const TileView& tile, Index col, Index count, const VectorTable& table,
                              const VectorPlan& plan, float* scale, float* work) noexcept {
    if (table.dim == 2) fit_dim<2>(tile, col, count, table, plan, scale, work);
    if (table.dim == 4) fit_dim<4>(tile, col, count, table, plan, scale, work);
    if (table.dim == 8) fit_dim<8>(tile, col, count, table, plan, scale, work);
  }

  /// The nearest entries under the given scales: codes [rows][ceil(count / dim)], `code_stride` apart.
  SINQ_TARGET static void encode(const TileView& tile, Index col, Index count, const VectorTable& table,
                                 const float* scale, std::uint16_t* codes, Index code_stride, float* work) noexcept {
    if (table.dim == 2) encode_dim<2>(tile, col, count, table, scale, codes, code_stride, work);
    if (table.dim == 4) encode_dim<4>(tile, col, count, table, scale, codes, code_stride, work);
    if (table.dim == 8) encode_dim<8>(tile, col, count, table, scale, codes, code_stride, work);
  }

 private:
  /// Importance, norms and magnitudes of one group of columns.
  template <int kDim>
  struct Group {
    Index count, vectors, entries;
    const float* table;
    float* weights;     ///< [vectors][kDim], zeros behind the last column
    float* norms;       ///< [vectors][entries]
    float* magnitudes;  ///< [vectors][kDim][kWidth]

    SINQ_TARGET Group(const TileView& tile, Index col, Index columns, const VectorTable& from, float* work) noexcept
        : count(columns),
          vectors((columns + kDim - 1) / kDim),
          entries(from.entries),
          table(from.values),
          weights(work),
          norms(work + vectors * kDim),
          magnitudes(norms + vectors * entries) {
      for (Index c = 0; c < vectors * kDim; ++c) {
        weights[c] = c >= count ? 0.0F : tile.col_weights == nullptr ? 1.0F : tile.col_weights[col + c];
      }
      for (Index v = 0; v < vectors; ++v) {
        for (Index e = 0; e < entries; ++e) {
          float norm = 0.0F;
          for (int k = 0; k < kDim; ++k) {
            const float t = table[e * kDim + k];
            norm += weights[v * kDim + k] * t * t;
          }
          norms[v * entries + e] = norm;
        }
      }
    }

    SINQ_TARGET void load(const TileView& tile, Index col, Index r0, int rows) const noexcept {
      GroupKernels<SINQ_ISA>::transpose(tile, col, count, r0, rows, magnitudes);
      for (Index c = 0; c < count; ++c) S::store(magnitudes + c * kWidth, S::abs(S::load(magnitudes + c * kWidth)));
      for (Index c = count; c < vectors * kDim; ++c) S::store(magnitudes + c * kWidth, S::zero());
    }
  };

  struct Found {
    F score;  ///< norm - 2 pull of the nearest entry
    F norm;
    F index;
  };

  enum class Want { kNorm, kIndex };

  /// The entry of vector `v` that is nearest to magnitudes * inverse.
  template <Want kWant, int kDim>
  SINQ_TARGET static Found nearest(const Group<kDim>& group, Index v, F inverse) noexcept {
    F pull[std::size_t{kDim}];
    const F minus_two = S::mul(inverse, S::set1(-2.0F));
    for (int k = 0; k < kDim; ++k) {
      const F weighted = S::mul(minus_two, S::set1(group.weights[v * kDim + k]));
      pull[k] = S::mul(weighted, S::load(group.magnitudes + (v * kDim + k) * kWidth));
    }
    Found found{S::set1(std::numeric_limits<float>::infinity()), S::zero(), S::zero()};
    const float* norms = group.norms + v * group.entries;
    const float* t = group.table;
    F index = S::zero();
    const F one = S::set1(1.0F);
    for (Index e = 0; e < group.entries; ++e, t += kDim) {
      const F norm = S::set1(norms[e]);
      F score = norm;
      for (int k = 0; k < kDim; ++k) score = S::fma(S::set1(t[k]), pull[k], score);
      const auto nearer = S::less(score, found.score);
      found.score = S::select(nearer, score, found.score);
      if constexpr (kWant == Want::kNorm) {
        found.norm = S::select(nearer, norm, found.norm);
      } else {
        found.index = S::select(nearer, index, found.index);
        index = S::add(index, one);
      }
    }
    return found;
  }

  template <int kDim>
  SINQ_TARGET static void fit_dim(const TileView& tile, Index col, Index count, const VectorTable& table,
                                  const VectorPlan& plan, float* scale, float* work) noexcept {
    const Group<kDim> group(tile, col, count, table, work);
    const F tiny = S::set1(1e-30F), half = S::set1(0.5F);
    for (Index r0 = 0; r0 < tile.rows; r0 += kWidth) {
      const int rows = tile.rows - r0 < kWidth ? static_cast<int>(tile.rows - r0) : kWidth;
      group.load(tile, col, r0, rows);
      F square = S::zero();
      for (Index c = 0; c < count; ++c) {
        const F m = S::load(group.magnitudes + c * kWidth);
        square = S::fma(m, m, square);
      }
      const F rms = S::sqrt(S::mul(square, S::set1(1.0F / static_cast<float>(count))));
      const F usual = S::mul(rms, S::set1(1.0F / plan.unit));
      // With the scale for given entries free, the squared error falls by pull^2 / norm: the most is the best.
      F most = S::set1(-1.0F), best = usual;
      for (int start = 0; start < plan.start_count; ++start) {
        F at = S::mul(usual, S::set1(plan.starts[start]));
        for (int round = 0; round <= plan.rounds; ++round) {
          const F inverse = S::div(S::set1(1.0F), S::max(at, tiny));
          F norms = S::zero(), scores = S::zero();
          for (Index v = 0; v < group.vectors; ++v) {
            const Found found = nearest<Want::kNorm>(group, v, inverse);
            norms = S::add(norms, found.norm);
            scores = S::add(scores, found.score);
          }
          const F pull = S::mul(S::mul(S::sub(norms, scores), half), at);
          const F next = S::div(pull, S::max(norms, tiny));
          const F gain = S::mul(next, pull);
          const auto better = S::less(most, gain);
          most = S::select(better, gain, most);
          best = S::select(better, next, best);
          at = S::select(S::less(S::zero(), next), next, at);
        }
      }
      // Nothing but zeros: no scale.
      S::store_first(scale + r0, S::select(S::less(S::zero(), square), best, S::zero()), rows);
    }
  }

  template <int kDim>
  SINQ_TARGET static void encode_dim(const TileView& tile, Index col, Index count, const VectorTable& table,
                                     const float* scale, std::uint16_t* codes, Index code_stride,
                                     float* work) noexcept {
    const Group<kDim> group(tile, col, count, table, work);
    alignas(64) float indices[kWidth];
    for (Index r0 = 0; r0 < tile.rows; r0 += kWidth) {
      const int rows = tile.rows - r0 < kWidth ? static_cast<int>(tile.rows - r0) : kWidth;
      group.load(tile, col, r0, rows);
      const F stored = S::load_first(scale + r0, rows);
      const auto usable = S::less(S::zero(), stored);
      const F inverse = S::select(usable, S::div(S::set1(1.0F), S::select(usable, stored, S::set1(1.0F))), S::zero());
      for (Index v = 0; v < group.vectors; ++v) {
        S::store(indices, nearest<Want::kIndex>(group, v, inverse).index);
        for (int i = 0; i < rows; ++i) codes[(r0 + i) * code_stride + v] = static_cast<std::uint16_t>(indices[i]);
      }
    }
  }
};

}  // namespace sinq::inline SINQ_ABI::detail

#endif
