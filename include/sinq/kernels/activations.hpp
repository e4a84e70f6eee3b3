#pragma once

#include <sinq/error.hpp>
#include <sinq/types.hpp>

#include <concepts>
#include <cstddef>
#include <span>
#include <type_traits>

namespace sinq::inline SINQ_ABI {

namespace detail {

/// Floats that lie side by side by their type's own word: std::vector, std::array, std::span.
template <class T>
concept FloatSpan = std::convertible_to<const T&, std::span<const float>>;

/// What Eigen's dense types in memory say of themselves; nothing here needs Eigen.
template <class T>
concept StridedFloats = requires(const T& x) {
  { x.data() } -> std::convertible_to<const float*>;
  { x.outerStride() } -> std::convertible_to<Index>;
  { x.rows() * x.cols() } -> std::convertible_to<Index>;
  requires std::bool_constant<(T::IsVectorAtCompileTime, T::IsRowMajor, T::InnerStrideAtCompileTime, true)>::value;
};

/// One vector without gaps. A row of a column-major matrix has gaps, and so may have a map with a stride.
template <class T>
concept FloatVector = FloatSpan<T> ||
    (StridedFloats<T>&& bool(T::IsVectorAtCompileTime) && int{T::InnerStrideAtCompileTime} == 1);

/// Vectors that are the rows of a row-major matrix.
template <class T>
concept FloatRows = StridedFloats<T> && !FloatVector<T> && !bool(T::IsVectorAtCompileTime) && bool(T::IsRowMajor) &&
                    int{T::InnerStrideAtCompileTime} == 1;

/// Floats that are neither, or do not say so.
template <class T>
concept FloatsWithGaps = !FloatVector<T> && !FloatRows<T> && requires(const T& x) {
  { x.data() } -> std::convertible_to<const float*>;
};

}  // namespace detail

/// The vectors a matrix is multiplied with: `batch` rows of `cols` numbers in memory that somebody else owns.
class Activations {
 public:
  /// One float32 vector: std::vector, std::span, std::array, an Eigen vector without gaps.
  template <detail::FloatVector Vector>
  Activations(const Vector& x)  // NOLINT(google-explicit-constructor): a vector is a batch of one
      : Activations(x.data(), 1, static_cast<Index>(x.size())) {}
  /// The rows of a row-major Eigen matrix, block or map: a batch.
  template <detail::FloatRows Matrix>
  Activations(const Matrix& x)  // NOLINT(google-explicit-constructor)
      : Activations(x.data(), x.rows(), x.cols(), x.outerStride()) {}
  template <detail::FloatsWithGaps Floats>
  Activations(const Floats&) = delete;  // has gaps: pass x.eval(), a row-major matrix, or data and stride
  /// [batch, cols] float32, row-major, `stride` elements from row to row (0: cols).
  Activations(const float* x, Index batch, Index cols, Index stride = 0)
      : Activations(x, ScalarType::kF32, batch, cols, stride) {}
  /// As above, of any scalar type (f16 and bf16 as their bits).
  Activations(const void* x, ScalarType type, Index batch, Index cols, Index stride = 0)
      : data_(static_cast<const std::byte*>(x)),
        type_(type),
        batch_(batch),
        cols_(cols),
        stride_(stride == 0 ? cols : stride) {
    if (x == nullptr) SINQ_THROW(Errc::kBadShape, "Activations: x is null");
    if (batch < 1 || cols < 1 || stride_ < cols) {
      SINQ_THROW(Errc::kBadShape, detail::text("Activations: batch ", batch, ", cols ", cols, ", stride ", stride_,
                                               ": need at least one row and column, and stride >= cols"));
    }
  }

  [[nodiscard]] Index batch() const noexcept { return batch_; }
  [[nodiscard]] Index cols() const noexcept { return cols_; }
  [[nodiscard]] ScalarType type() const noexcept { return type_; }
  /// Element (row, col).
  [[nodiscard]] const std::byte* at(Index row, Index col) const noexcept {
    return data_ + (row * stride_ + col) * scalar_bytes(type_);
  }

 private:
  const std::byte* data_ = nullptr;
  ScalarType type_ = ScalarType::kF32;
  Index batch_ = 0;
  Index cols_ = 0;
  Index stride_ = 0;
};

}  // namespace sinq::inline SINQ_ABI
