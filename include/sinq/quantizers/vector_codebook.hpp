#pragma once

#include <sinq/compiled.hpp>
#include <sinq/detail/vector.hpp>
#include <sinq/quantizers/group_quantizer.hpp>

namespace sinq::inline SINQ_ABI {

namespace detail {
struct VectorTable;
}

/// Two, four or eight neighbours of a row coded together: their signs, a bit each, and the nearest of 2^bits vectors
/// of magnitudes, a table of the matrix's own. The table is learned by weighted k-means in the normalized domain,
/// alternated with the groups' scales, and stored as bytes; groups have a scale and no zero point. Stored bits per
/// weight: bits / dim + 1, and the scales. (Ideas: ggml's IQ types for signs apart from a table of magnitudes, AQLM and
/// GPTVQ for learning it.)
class VectorCodebook {
 public:
  static constexpr FitScope kFitScope = FitScope::kRows;

  int bits = 6;
  int dim = 4;          ///< neighbours per code: 2, 4 or 8
  int iterations = 40;  ///< of k-means
  int rounds = 0;       ///< least-squares refinements of each start of a group's scale

  VectorCodebook() { reset(); }
  /// `code_bits` per code of `vector_dim` neighbours.
  explicit VectorCodebook(int code_bits, int vector_dim = 4) : bits(code_bits), dim(vector_dim) { reset(); }

  friend bool operator==(const VectorCodebook&, const VectorCodebook&) = default;

  /// Throws Errc::kBadConfig.
  void validate() const {
    const auto refuse = [](const auto&... parts) {
      SINQ_THROW(Errc::kBadConfig, detail::text("VectorCodebook: ", parts...));
    };
    if (bits < 1 || bits > kMaxBits) refuse("bits ", bits, " is not in 1..", kMaxBits);
    if (dim != 2 && dim != 4 && dim != 8) refuse("dim ", dim, " is not 2, 4 or 8");
    if (levels_.size() != size()) refuse("bits ", bits, " and dim ", dim, " are not those it was made with");
    if (iterations < 1 || iterations > 1000) refuse("iterations ", iterations, " is not in 1..1000");
    if (rounds < 0 || rounds > 100) refuse("rounds ", rounds, " is not in 0..100");
  }

  CodeFormat format() const&& = delete;  // it points into this object
  [[nodiscard]] CodeFormat format() const& noexcept {
    return {.bits = bits,
            .symmetry = Symmetry::kSymmetric,
            .vector_dim = dim,
            .signs = SignStorage::kSeparate,
            .byte_levels = levels_};
  }

  /// Learns the table from normalized groups [groups][group_size], one to a row.
  void learn(const TileView& groups, Scratch& scratch, Isa limit);

  void fit(const TileView& tile, Index group_size, const GroupParams& params, Scratch& scratch, Isa limit) const;

  /// Codes [rows][ceil(cols / dim)], against the signs of the tile.
  void encode(const TileView& tile, Index group_size, const GroupParams& params, std::uint16_t* codes,
              Index code_stride, Scratch& scratch, Isa limit) const;

 private:
  /// Tables are learned from some hundred vectors per entry, and searched from end to end.
  static constexpr int kMaxBits = 12;

  [[nodiscard]] std::size_t size() const noexcept { return (std::size_t{1} << bits) * static_cast<std::size_t>(dim); }
  [[nodiscard]] detail::VectorTable table() const noexcept;

  void reset() {
    if (bits < 1 || bits > kMaxBits || dim < 1 || dim > 8) return;  // `validate` will say so
    levels_.assign(size(), 0);
    table_.assign(size(), 0.0F);
  }

  template <class F>
  static void for_each_group(const TileView& tile, Index group_size, F f) {
    for (Index g = 0, c = 0; c < tile.cols; ++g, c += group_size) f(tile, g, c, std::min(group_size, tile.cols - c));
  }

  void encode_groups(const TileView& tile, Index group_size, const float* scale, Index scale_stride,
                     std::uint16_t* codes, Index code_stride, Scratch& scratch, Isa limit) const;

  [[nodiscard]] static detail::Vector<float> rms_of(const TileView& groups) {
    detail::Vector<float> out;
    for (Index r = 0; r < groups.rows; ++r) {
      double square = 0.0;
      for (Index c = 0; c < groups.cols; ++c) {
        square += static_cast<double>(groups.row(r)[c]) * static_cast<double>(groups.row(r)[c]);
      }
      out.push_back(static_cast<float>(std::sqrt(square / static_cast<double>(groups.cols))));
    }
    return out;
  }

  /// Entry e becomes vector number `pick` of the sample, in units of its group's scale.
  void take(std::size_t e, std::uint64_t pick, const TileView& groups, const detail::Vector<float>& scale) {
    const Index vectors = std::max<Index>(groups.cols / dim, 1);
    const auto at = static_cast<Index>(pick % static_cast<std::uint64_t>(groups.rows * vectors));
    const Index r = at / vectors;
    const float a = scale[static_cast<std::size_t>(r)];
    for (Index k = 0; k < dim; ++k) {
      const float m = std::fabs(groups.row(r)[at % vectors * dim + k]);
      table_[e * static_cast<std::size_t>(dim) + static_cast<std::size_t>(k)] = a > 0.0F ? m / a : 0.0F;
    }
  }
  /// Vectors from all over the sample: neighbours in the matrix may resemble each other.
  void start_from_sample(const TileView& groups, const detail::Vector<float>& scale) {
    for (std::size_t e = 0; e < std::size_t{1} << bits; ++e) take(e, scattered(e), groups, scale);
  }
  void restart_entry(std::size_t e, const TileView& groups, const detail::Vector<float>& scale) {
    take(e, scattered(e + size()), groups, scale);
  }
  /// A number that has nothing to do with i (the finalizer of splitmix64).
  [[nodiscard]] static std::uint64_t scattered(std::uint64_t i) noexcept {
    i = (i + 1) * 0x9e3779b97f4a7c15U;
    i = (i ^ (i >> 30)) * 0xbf58476d1ce4e5b9U;
    i = (i ^ (i >> 27)) * 0x94d049bb133111ebU;
    return i ^ (i >> 31);
  }

  /// Rounds the table to bytes, and from then on works with those.
  void store_levels(const TileView& groups, const detail::Vector<float>& scale) {
    constexpr float kTop = 127.0F;
    float greatest = 0.0F;
    for (const float t : table_) greatest = std::max(greatest, t);
    if (!(greatest > 0.0F)) return;
    for (std::size_t i = 0; i < table_.size(); ++i) {
      levels_[i] = static_cast<std::int8_t>(std::nearbyint(table_[i] * kTop / greatest));
      table_[i] = static_cast<float>(levels_[i]);
    }
    double scales = 0.0, rms = 0.0;
    const detail::Vector<float> rms_values = rms_of(groups);
    for (std::size_t r = 0; r < scale.size(); ++r) {
      scales += static_cast<double>(scale[r]);
      rms += static_cast<double>(rms_values[r]);
    }
    unit_ = static_cast<float>(rms / scales) * kTop / greatest;
  }

  detail::Vector<std::int8_t> levels_;  ///< [2^bits][dim]
  detail::Vector<float> table_;         ///< the same as floats; while it is learned, in units of the groups' scales
  float unit_ = 1.0F;                   ///< rms of a group over its scale
};

}  // namespace sinq::inline SINQ_ABI

#if SINQ_HAS_BODIES(SEARCH)
#include <sinq/quantizers/vector_search.hpp>

namespace sinq::inline SINQ_ABI {

SINQ_DECL detail::VectorTable VectorCodebook::table() const noexcept { return {table_.data(), Index{1} << bits, dim}; }

SINQ_DECL void VectorCodebook::learn(const TileView& groups, Scratch& scratch, Isa limit) {
  const auto width = static_cast<std::size_t>(dim);
  const Index vectors = ceil_div(groups.cols, Index{dim});
  detail::Vector<float> scale = rms_of(groups);
  start_from_sample(groups, scale);
  detail::Vector<std::uint16_t> codes(static_cast<std::size_t>(groups.rows * vectors));
  detail::Vector<double> sum(table_.size()), weight(table_.size() / width);
  for (int i = 0; i < iterations; ++i) {
    encode_groups(groups, groups.cols, scale.data(), groups.rows, codes.data(), vectors, scratch, limit);
    std::fill(sum.begin(), sum.end(), 0.0);
    std::fill(weight.begin(), weight.end(), 0.0);
    for (Index r = 0; r < groups.rows; ++r) {
      float& a = scale[static_cast<std::size_t>(r)];
      if (a == 0.0F) continue;
      double norm = 0.0, pull = 0.0;
      for (Index v = 0; v < vectors; ++v) {
        const auto code = static_cast<std::size_t>(codes[static_cast<std::size_t>(r * vectors + v)]);
        weight[code] += static_cast<double>(a) * static_cast<double>(a);
        for (std::size_t k = 0; k < width; ++k) {
          // Columns behind the last are zeros in the tile, and of a sampled group there are whole vectors only.
          const auto m = static_cast<double>(std::fabs(groups.row(r)[v * dim + static_cast<Index>(k)]));
          const auto t = static_cast<double>(table_[code * width + k]);
          sum[code * width + k] += static_cast<double>(a) * m;
          norm += t * t;
          pull += t * m;
        }
      }
      if (norm > 0.0 && pull > 0.0) a = static_cast<float>(pull / norm);
    }
    for (std::size_t e = 0; e < weight.size(); ++e) {
      if (weight[e] > 0.0) {
        for (std::size_t k = 0; k < width; ++k)
          table_[e * width + k] = static_cast<float>(sum[e * width + k] / weight[e]);
      } else {
        restart_entry(e, groups, scale);
      }
    }
  }
  store_levels(groups, scale);
}

SINQ_DECL void VectorCodebook::fit(const TileView& tile, Index group_size, const GroupParams& params, Scratch& scratch,
                                   Isa limit) const {
  // On lm30m, three starts have 1% more error (64 entries; 256: 2%), one 5%; twice as many gain less than 0.1%.
  static constexpr float kStarts[] = {0.75F, 0.83F, 0.91F, 1.0F, 1.1F, 1.2F, 1.32F};
  const detail::VectorPlan plan{.starts = kStarts, .start_count = 7, .rounds = rounds, .unit = unit_};
  const detail::VectorTable table = this->table();
  float* work = scratch.floats(detail::vector_search_floats(table, std::min(group_size, tile.cols)));
  for_each_group(tile, group_size, [&](const TileView& part, Index g, Index col, Index count) {
    dispatch(limit, [&](auto tag) {
      detail::VectorSearch<decltype(tag)>::fit(part, col, count, table, plan, params.scale + g * params.stride, work);
    });
    std::fill_n(params.zero_point + g * params.stride, tile.rows, 0.0F);
  });
}

SINQ_DECL void VectorCodebook::encode(const TileView& tile, Index group_size, const GroupParams& params,
                                      std::uint16_t* codes, Index code_stride, Scratch& scratch, Isa limit) const {
  encode_groups(tile, group_size, params.scale, params.stride, codes, code_stride, scratch, limit);
}

SINQ_DECL void VectorCodebook::encode_groups(const TileView& tile, Index group_size, const float* scale,
                                             Index scale_stride, std::uint16_t* codes, Index code_stride,
                                             Scratch& scratch, Isa limit) const {
  const detail::VectorTable table = this->table();
  float* work = scratch.floats(detail::vector_search_floats(table, std::min(group_size, tile.cols)));
  for_each_group(tile, group_size, [&](const TileView& part, Index g, Index col, Index count) {
    dispatch(limit, [&](auto tag) {
      detail::VectorSearch<decltype(tag)>::encode(part, col, count, table, scale + g * scale_stride, codes + col / dim,
                                                  code_stride, work);
    });
  });
}

}  // namespace sinq::inline SINQ_ABI
#endif
