#pragma once

#include <sinq/block_formats/block_format.hpp>

#include <cstddef>
#include <vector>

namespace sinq::test {

/// The blocks of `row`.
inline std::vector<std::byte> encoded(BlockFormat format, const std::vector<float>& row,
                                      const std::vector<float>& importance = {}, Isa limit = Isa::kBest) {
  std::vector<std::byte> out(static_cast<std::size_t>(row_bytes(format, static_cast<Index>(row.size()))));
  encode_row(format, row, importance, out, limit);
  return out;
}

/// What a reader of those gets.
inline std::vector<float> round_trip(BlockFormat format, const std::vector<float>& row,
                                     const std::vector<float>& importance = {}, Isa limit = Isa::kBest) {
  std::vector<float> out(row.size());
  decode_row(format, encoded(format, row, importance, limit), out.data());
  return out;
}

/// The sum of weight * (row - values)^2; no weights: 1 each.
template <class Values>
double squared_error(const std::vector<float>& row, const Values& values, const std::vector<float>& weight = {}) {
  double sum = 0.0;
  for (std::size_t i = 0; i < row.size(); ++i) {
    const double d = static_cast<double>(row[i]) - static_cast<double>(values[i]);
    sum += (weight.empty() ? 1.0 : static_cast<double>(weight[i])) * d * d;
  }
  return sum;
}

}  // namespace sinq::test
