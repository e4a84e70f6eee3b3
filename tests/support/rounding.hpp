#pragma once

namespace sinq::test {

/// Ways of rounding a group.
enum class Rounding {
  // golden/FORMAT.md section 7.5
  kUniform,  ///< integer zero point
  kNoz,      ///< symmetric, 2^bits - 3 levels
  kNf4,
  kNf3,
  kHqq,
  // The library's own
  kRealUniform,  ///< zero point anywhere
  kSymmetric,    ///< symmetric, all levels
  kFp4,          ///< fifteen levels, about the mean
  kTernary,      ///< three levels, about zero, the outer ones at half of the largest magnitude
};

}  // namespace sinq::test
