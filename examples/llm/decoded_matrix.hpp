#pragma once

#include <sinq/matrix_view.hpp>
#include <sinq/quantized_matrix.hpp>

#include <utility>

namespace llm {

/// A quantized matrix that others read as if it were floats: rows are decoded
/// when they are asked for.
class DecodedMatrix {
 public:
  explicit DecodedMatrix(const sinq::QuantizedView& codes) : codes_(codes) {}

  [[nodiscard]] const sinq::QuantizedView& codes() const noexcept { return codes_; }
  /// Points to this.
  [[nodiscard]] sinq::MatrixView view() const noexcept;

 private:
  sinq::QuantizedView codes_;
};

/// The same with the codes that it reads. Stays where it is: others point to it.
class OwnDecodedMatrix {
 public:
  explicit OwnDecodedMatrix(sinq::QuantizedMatrix matrix) : matrix_(std::move(matrix)), decoded_(matrix_.view()) {}
  OwnDecodedMatrix(const OwnDecodedMatrix&) = delete;
  OwnDecodedMatrix& operator=(const OwnDecodedMatrix&) = delete;
  ~OwnDecodedMatrix() = default;

  [[nodiscard]] const sinq::QuantizedView& codes() const noexcept { return decoded_.codes(); }
  /// Points to this.
  [[nodiscard]] sinq::MatrixView view() const noexcept { return decoded_.view(); }

 private:
  sinq::QuantizedMatrix matrix_;
  DecodedMatrix decoded_;
};

}  // namespace llm
