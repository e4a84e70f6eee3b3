#pragma once

#include <sinq/quantizers/codebook.hpp>
#include <sinq/quantizers/fp4.hpp>
#include <sinq/quantizers/hqq.hpp>
#include <sinq/quantizers/nf3.hpp>
#include <sinq/quantizers/nf4.hpp>
#include <sinq/quantizers/ternary.hpp>
#include <sinq/quantizers/uniform.hpp>

#include "rounding.hpp"

namespace sinq::test {

/// Calls f with the library's quantizer for a way of rounding. `reference_compatible` turns kRealUniform into kUniform
/// and kSymmetric into kNoz. Tables ignore `bits`.
template <class F>
decltype(auto) with_quantizer(Rounding rounding, int bits, F&& f) {
  switch (rounding) {
    case Rounding::kUniform:
      return f(Uniform{.bits = bits, .zero_point = ZeroPoint::kInteger});
    case Rounding::kRealUniform:
      return f(Uniform{.bits = bits});
    case Rounding::kNoz:
      return f(Uniform{.bits = bits, .symmetry = Symmetry::kSymmetric, .symmetric_range = SymmetricRange::kReference});
    case Rounding::kSymmetric:
      return f(Uniform{.bits = bits, .symmetry = Symmetry::kSymmetric});
    case Rounding::kNf4:
      return f(codebooks::kNf4);
    case Rounding::kNf3:
      return f(codebooks::kNf3);
    case Rounding::kFp4:
      return f(codebooks::kFp4);
    case Rounding::kTernary:
      return f(codebooks::kTernary);
    case Rounding::kHqq:
      break;
  }
  return f(Hqq{.bits = bits});
}

}  // namespace sinq::test
