#pragma once

#include <sinq/packing/bit_packing.hpp>
#include <sinq/quantized_matrix.hpp>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sinq::test {

/// What a quantized matrix with scalar codes stores, as numbers.
struct ReadBack {
  Index rows = 0, cols = 0, groups = 0, group_size = 0;
  std::vector<std::uint32_t> codes;  ///< [rows, cols]
  std::vector<float> scale;          ///< [rows, groups], without matrix_scale
  std::vector<float> zero;           ///< [rows, groups]
  std::vector<float> col_scale;      ///< [rows, cols]
  std::vector<float> levels;         ///< of each code
  double matrix_scale = 1.0;

  [[nodiscard]] std::size_t at(Index r, Index c) const { return static_cast<std::size_t>(r * cols + c); }
  [[nodiscard]] std::size_t group(Index r, Index c) const {
    return static_cast<std::size_t>(r * groups + c / group_size);
  }
  [[nodiscard]] std::uint32_t code(Index r, Index c) const { return codes[at(r, c)]; }
  /// Of one level in normalized units: s1 of golden/FORMAT.md.
  [[nodiscard]] double s1(Index r, Index c) const { return static_cast<double>(scale[group(r, c)]) * matrix_scale; }
  [[nodiscard]] double zero_at(Index r, Index c) const { return static_cast<double>(zero[group(r, c)]); }
  [[nodiscard]] double col(Index r, Index c) const { return static_cast<double>(col_scale[at(r, c)]); }
  /// What `code` would stand for at (r, c), in double.
  [[nodiscard]] double value(Index r, Index c, std::uint32_t code) const {
    return (static_cast<double>(levels[code]) - zero_at(r, c)) * s1(r, c) * col(r, c);
  }
};

inline ReadBack read_back(const QuantizedView& q) {
  ReadBack out;
  out.rows = q.rows();
  out.cols = q.cols();
  out.groups = q.groups();
  out.group_size = q.layout().group_size;
  out.matrix_scale = static_cast<double>(q.layout().matrix_scale);
  for (std::uint32_t code = 0; code < 1U << q.layout().bits; ++code) {
    out.levels.push_back(q.levels() == nullptr ? static_cast<float>(code) : q.levels()[code]);
  }
  out.scale.resize(static_cast<std::size_t>(out.rows * out.groups));
  out.zero.resize(out.scale.size());
  out.col_scale.resize(static_cast<std::size_t>(out.rows * out.cols));
  for (Index r = 0; r < out.rows; ++r) {
    for (Index g = 0; g < out.groups; ++g) {
      const auto i = static_cast<std::size_t>(r * out.groups + g);
      q.group_scales(g, {r, r + 1}, &out.scale[i]);
      q.zero_points(g, {r, r + 1}, &out.zero[i]);
    }
    q.col_scales(r, {0, out.cols}, out.col_scale.data() + r * out.cols);
    for (Index c = 0; c < out.cols; ++c) out.codes.push_back(code_at(q.codes(r), c, q.layout().bits));
  }
  return out;
}

}  // namespace sinq::test
