#pragma once

#include <sinq/dequantize.hpp>
#include <sinq/matrix_view.hpp>
#include <sinq/measure_error.hpp>
#include <sinq/normalize/balance.hpp>
#include <sinq/quantize.hpp>

#include <Eigen/Core>

namespace sinq::inline SINQ_ABI {

/// The matrix type of examples and tests; any other dense Eigen type does as well.
using RowMatrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

namespace detail {

template <class Scalar>
concept MatrixScalar = std::is_same_v<Scalar, float> || std::is_same_v<Scalar, double> ||
    std::is_same_v<Scalar, Eigen::half> || std::is_same_v<Scalar, Eigen::bfloat16>;

template <MatrixScalar Scalar>
constexpr ScalarType scalar_type() {
  if constexpr (std::is_same_v<Scalar, float>) return ScalarType::kF32;
  if constexpr (std::is_same_v<Scalar, double>) return ScalarType::kF64;
  if constexpr (std::is_same_v<Scalar, Eigen::half>) return ScalarType::kF16;
  if constexpr (std::is_same_v<Scalar, Eigen::bfloat16>) return ScalarType::kBf16;
}

template <class Derived>
void read_expression(const void* expression, Index row, Index col, Index rows, Index cols, float* out,
                     Index out_stride) {
  const auto& w = *static_cast<const Derived*>(expression);
  Eigen::Map<RowMatrix, 0, Eigen::OuterStride<>> tile(out, rows, cols, Eigen::OuterStride<>(out_stride));
  tile = w.block(row, col, rows, cols).template cast<float>();
}

}  // namespace detail

/// Views any dense Eigen matrix, map, block or expression of float, double, half or bfloat16, row- or column-major.
/// Memory is read in place; an expression without memory is evaluated tile by tile. `w` must outlive the view.
template <class Derived>
requires detail::MatrixScalar<typename Derived::Scalar>
[[nodiscard]] MatrixView view(const Eigen::DenseBase<Derived>& w) {
  MatrixView out{.rows = w.rows(), .cols = w.cols()};
  if constexpr ((int{Derived::Flags} & Eigen::DirectAccessBit) != 0) {
    const Derived& d = w.derived();
    out.data = d.data();
    out.type = detail::scalar_type<typename Derived::Scalar>();
    out.row_stride = d.rowStride();
    out.col_stride = d.colStride();
  } else {
    out.data = &w.derived();
    out.read_tile = &detail::read_expression<Derived>;
  }
  return out;
}

/// Quantizes any dense Eigen matrix, map, block or expression; see `quantize(const MatrixView&, ...)`.
template <class Derived, class Q, class N, Executor E = Serial>
requires detail::MatrixScalar<typename Derived::Scalar>
[[nodiscard]] QuantizedMatrix quantize(const Eigen::DenseBase<Derived>& w, const Config<Q, N>& config,
                                       const QuantizeOptions& options = {}, const E& executor = {}) {
  return quantize(view(w), config, options, executor);
}
/// Another kind of configuration, such as `AnyConfig`: what `quantize` takes of a MatrixView.
template <class Derived, class Any, Executor E = Serial>
requires(detail::MatrixScalar<typename Derived::Scalar>&& requires(const MatrixView& view, const Any& config) {
  quantize(view, config);
}) [[nodiscard]] QuantizedMatrix quantize(const Eigen::DenseBase<Derived>& w, const Any& config,
                                          const QuantizeOptions& options = {}, const E& executor = {}) {
  return quantize(view(w), config, options, executor);
}
template <class Derived, Executor E = Serial>
requires detail::MatrixScalar<typename Derived::Scalar>
[[nodiscard]] QuantizedMatrix quantize(const Eigen::DenseBase<Derived>& w, const Config<>& config = {},
                                       const QuantizeOptions& options = {}, const E& executor = {}) {
  return quantize(view(w), config, options, executor);
}

template <class Derived, class Q, class N, Executor E = Serial>
requires detail::MatrixScalar<typename Derived::Scalar> QuantizedView quantize_into(const Eigen::DenseBase<Derived>& w,
                                                                                    const Config<Q, N>& config,
                                                                                    std::span<std::byte> out,
                                                                                    const QuantizeOptions& options = {},
                                                                                    const E& executor = {}) {
  return quantize_into(view(w), config, out, options, executor);
}

/// The decoded matrix [rows, cols].
[[nodiscard]] inline RowMatrix dequantize(const QuantizedView& q, Isa limit = Isa::kBest) {
  RowMatrix out(q.rows(), q.cols());
  dequantize_into(q, {out.data(), static_cast<std::size_t>(out.size())}, limit);
  return out;
}

/// Of a matrix that may be a temporary: `dequantize(quantize(w))`.
[[nodiscard]] inline RowMatrix dequantize(const QuantizedMatrix& q, Isa limit = Isa::kBest) {
  return dequantize(q.view(), limit);
}

/// See `measure_error(const MatrixView&, ...)`; a QuantizedMatrix may be a temporary.
template <class Derived>
[[nodiscard]] ErrorReport measure_error(const Eigen::DenseBase<Derived>& w, const QuantizedView& q) {
  return measure_error(view(w), q);
}
template <class Derived>
[[nodiscard]] ErrorReport measure_error(const Eigen::DenseBase<Derived>& w, const QuantizedMatrix& q) {
  return measure_error(view(w), q.view());
}
template <class Derived, class Activations>
[[nodiscard]] ErrorReport measure_error(const Eigen::DenseBase<Derived>& w, const QuantizedView& q,
                                        const Eigen::DenseBase<Activations>& activations) {
  return measure_error(view(w), q, view(activations));
}
template <class Derived, class Activations>
[[nodiscard]] ErrorReport measure_error(const Eigen::DenseBase<Derived>& w, const QuantizedMatrix& q,
                                        const Eigen::DenseBase<Activations>& activations) {
  return measure_error(view(w), q.view(), view(activations));
}

/// See `imbalance(const MatrixView&)`.
template <class Derived>
[[nodiscard]] double imbalance(const Eigen::DenseBase<Derived>& w) {
  return imbalance(view(w));
}

/// See `balance(const MatrixView&, ...)`.
template <class Derived, Normalizer N>
[[nodiscard]] DualScale balance(const Eigen::DenseBase<Derived>& w, const N& normalizer,
                                Thresholds thresholds = Thresholds::kRelative, Isa limit = Isa::kBest) {
  return balance(view(w), normalizer, thresholds, limit);
}

}  // namespace sinq::inline SINQ_ABI
