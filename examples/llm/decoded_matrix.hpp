#pragma once

#include <sinq/matrix_view.hpp>
#include <sinq/quantized_matrix.hpp>

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

}  // namespace llm
