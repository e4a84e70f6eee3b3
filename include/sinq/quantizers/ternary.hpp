#pragma once

#include <sinq/quantizers/codebook.hpp>

namespace sinq::inline SINQ_ABI::codebooks {

/// -1, 0, 1 in two bits. The largest of 64 normal weights is 2.4 standard deviations out, the best outer level of three
/// is at 1.22 (Lloyd 1957): half of the largest magnitude.
inline constexpr Codebook kTernary =
    Codebook{std::array<float, 3>{-1.0F, 0.0F, 1.0F}}.with(Symmetry::kSymmetric).with_clip(0.5F);

}  // namespace sinq::inline SINQ_ABI::codebooks
