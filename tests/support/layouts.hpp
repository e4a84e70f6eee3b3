#pragma once

#include <sinq/half.hpp>
#include <sinq/quantized_matrix.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>

namespace sinq::test {

/// Writes element `i` of a region that holds values of type T. Throws std::out_of_range.
template <class T>
void put(QuantizedMatrix& q, Region region, Index i, const T& value) {
  const auto bytes = q.region(region);
  const auto at = static_cast<std::size_t>(i) * sizeof(T);
  if (at + sizeof(T) > bytes.size()) throw std::out_of_range("put: beyond the region");
  std::memcpy(bytes.data() + at, &value, sizeof(T));
}

/// Writes element `i` of a region of aux values: `value` as f16 or f32, or the code `code`, of which
/// kU6 takes six bits (that are still zero).
inline void put_aux(QuantizedMatrix& q, Region region, Index i, float value, std::uint8_t code = 0) {
  switch (q.layout().aux) {
    case AuxFormat::kF16:
      return put(q, region, i, float_to_half(value));
    case AuxFormat::kF32:
      return put(q, region, i, value);
    case AuxFormat::kU8:
      return put(q, region, i, code);
    case AuxFormat::kU6: {
      const Index rows = q.layout().rows;
      auto* stream = reinterpret_cast<std::uint8_t*>(q.region(region).data());
      return sinq::put_code(stream + i / rows * aux_bytes(AuxFormat::kU6, rows), i % rows, 6, code & 63U);
    }
  }
}

/// Writes element `i` of the column scales.
inline void put_col_scale(QuantizedMatrix& q, Index i, float value) {
  if (q.layout().col_scale_format() == AuxFormat::kF32) {
    put(q, Region::kColScale, i, value);
  } else {
    put(q, Region::kColScale, i, float_to_half(value));
  }
}

/// Writes code number `i` of row `r`, whose bits are still zero.
inline void put_code(QuantizedMatrix& q, Index r, Index i, std::uint32_t code) {
  const auto bytes = q.region(Region::kCodes);
  auto* row = reinterpret_cast<std::uint8_t*>(bytes.data()) + sinq::detail::ScalarCodes(q.layout()).code_offset(r, 0);
  sinq::put_code(row, i, q.layout().bits, code);
}

}  // namespace sinq::test
