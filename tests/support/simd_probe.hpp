#pragma once

#include <sinq/detail/simd.hpp>
#include <sinq/detail/simd_math.hpp>

#include <cstdint>

namespace sinq::test {

/// Operations of detail::Simd on arrays, so that tests need no vector types and no compiler flags.
template <class Tag>
struct SimdProbe;

enum class Binary { kAdd, kSub, kMul, kDiv, kMin, kMax, kCopysign };
enum class Unary { kSqrt, kAbs, kRound, kExponent, kMantissa, kPowerOfTwo, kLog2, kExp2 };
enum class Reduction { kAdd, kMin, kMax };
enum class Bytes { kAddClamped, kSubClamped, kMin, kSelect };
enum class Words { kMin, kAdd, kSub, kAbs, kMulHigh, kShift, kOr, kSelect };

}  // namespace sinq::test

#define SINQ_KERNEL "support/simd_probe_kernel.hpp"
#include <sinq/detail/for_each_isa.hpp>
