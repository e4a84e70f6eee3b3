#pragma once

#include <sinq/error.hpp>
#include <sinq/types.hpp>

#include <concepts>
#include <cstdint>

namespace sinq::inline SINQ_ABI {

namespace detail {

/// Anything with contiguous floats: std::vector, std::span, std::array, an Eigen vector.
template <class T>
concept FloatBuffer = requires(const T& t) {
  { t.data() } -> std::convertible_to<const float*>;
  { t.size() } -> std::convertible_to<Index>;
};

}  // namespace detail

/// The vectors a matrix is multiplied with: `batch` rows of `cols` numbers in memory that somebody else owns.
class Activations {
 public:
  /// One float32 vector.
  template <detail::FloatBuffer Buffer>
  Activations(const Buffer& x)  // NOLINT(google-explicit-constructor): a vector is a batch of one
      : Activations(x.data(), 1, static_cast<Index>(x.size())) {}
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
