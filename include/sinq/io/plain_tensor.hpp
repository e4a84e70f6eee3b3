#pragma once

#include <sinq/detail/vector.hpp>
#include <sinq/error.hpp>
#include <sinq/half.hpp>
#include <sinq/io/checkpoint.hpp>
#include <sinq/io/finite.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace sinq::inline SINQ_ABI::io {

/// How a tensor is copied into a checkpoint whose readers know nothing of scales: a matrix of 8-bit floats becomes
/// BF16, every other tensor stays as it is. Throws Errc::kUnsupported for 8-bit floats that are no matrix.
[[nodiscard]] inline TensorInfo plain_info(const Checkpoint::Tensor& tensor) {
  TensorInfo out{tensor.info.name, tensor.info.dtype, tensor.info.shape};
  if (!is_float8(out.dtype)) return out;
  if (tensor.float8 == nullptr) {
    SINQ_THROW(Errc::kUnsupported,
               sinq::detail::text(tensor.file.name(), ": tensor ", detail::name_text(out.name), ": ", name(out.dtype),
                                  ' ', detail::shape_text(out.shape), ": 8-bit floats are read as matrices only"));
  }
  out.dtype = DType::kBf16;
  return out;
}

/// Reads rows of a matrix of 8-bit floats, scaled, to `out` [rows.size(), cols]. Throws Errc::kBadData at the first
/// weight that is not finite, such as a NaN code, naming tensor, row and column.
inline void read_float8_rows(const Checkpoint::Tensor& tensor, RowRange rows, std::span<float> out) {
  const MatrixView view = tensor.matrix_view();
  view.read_tile(view.data, rows.begin, 0, rows.size(), view.cols, out.data(), view.cols);
  const auto read = out.first(static_cast<std::size_t>(rows.size() * view.cols));
  if (const auto bad = find_nonfinite(read)) {
    const auto before = static_cast<std::uint64_t>(rows.begin * view.cols);
    detail::refuse_element(tensor.file, tensor.info, before + bad->at, bad->name);
  }
}

/// `require_float32` of what a tensor of a checkpoint is read as: 8-bit floats times their scales.
inline void require_float32(const Checkpoint::Tensor& tensor) {
  if (tensor.float8 == nullptr) return require_float32(tensor.file, tensor.info);
  sinq::detail::Vector<float> row(static_cast<std::size_t>(tensor.info.shape[1]));
  for (Index r = 0; r < tensor.info.shape[0]; ++r) read_float8_rows(tensor, {r, r + 1}, row);
}

/// The bytes of a tensor as `plain_info` describes it, part by part: calls sink(offset, bytes) for each, then gives its
/// memory back. Throws as `plain_info`, and Errc::kBadData, naming row and column, at the first number that is not
/// finite: in the type that is written.
template <class Sink>
void for_each_plain_part(const Checkpoint::Tensor& tensor, const Sink& sink) {
  constexpr std::size_t kPart = std::size_t{8} << 20;
  const TensorInfo info = plain_info(tensor);
  if (info.dtype == tensor.info.dtype) {
    const auto bytes = tensor.bytes();
    for (std::size_t at = 0; at < bytes.size(); at += kPart) {
      const std::size_t size = std::min(kPart, bytes.size() - at);
      require_finite(tensor.file, tensor.info, at, at + size);
      sink(std::uint64_t{at}, bytes.subspan(at, size));
      tensor.file.release(tensor.info, at, at + size);
    }
    return;
  }
  const Index rows = info.shape[0], cols = info.shape[1];
  const Index step = std::clamp<Index>(static_cast<Index>(kPart) / 4 / cols, 1, rows);
  sinq::detail::Vector<float> values(static_cast<std::size_t>(step * cols));
  sinq::detail::Vector<std::uint16_t> rounded(values.size());
  for (Index r = 0; r < rows; r += step) {
    const RowRange part{r, std::min(r + step, rows)};
    const auto size = static_cast<std::size_t>(part.size() * cols);
    read_float8_rows(tensor, part, values);
    for (std::size_t i = 0; i < size; ++i) rounded[i] = float_to_bfloat16(values[i]);
    const auto bytes = std::as_bytes(std::span(rounded).first(size));
    const auto first = static_cast<std::uint64_t>(r * cols);
    if (const auto bad = find_nonfinite(info.dtype, bytes)) {
      detail::refuse_element(tensor.file, tensor.info, first + bad->at, values[bad->at], ", beyond the range of ",
                             name(info.dtype));
    }
    sink(first * sizeof(std::uint16_t), bytes);
    tensor.file.release(tensor.info, 0, static_cast<std::uint64_t>(part.end * cols));
  }
  tensor.release();
}

}  // namespace sinq::inline SINQ_ABI::io
