#pragma once

#include <sinq/abi.hpp>

#include <cstdint>

namespace sinq::inline SINQ_ABI {

/// What activations become before they meet packed codes. Errors are relative to the norm of the result, for Gaussian
/// activations; in general an integer form moves each activation by at most 1/254 (int8) or 1/32512 (int15) of the
/// largest one of its block.
enum class Precision : std::uint8_t {
  kFloat,  ///< float32: within float rounding of dequantize-then-multiply
  kInt15,  ///< 15 bits as two int8 with a scale per block: 5e-5, at the speed of int8 where memory is the limit
  kInt8,   ///< int8 with a scale per block: 7e-3
};

}  // namespace sinq::inline SINQ_ABI
