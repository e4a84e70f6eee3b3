#pragma once

#include <sinq/quantizers/codebook.hpp>

namespace sinq::inline SINQ_ABI::codebooks {

/// FP4 E2M1 (OCP Microscaling Formats 1.0, table 5): fifteen values, since the format's two zeros are one level.
inline constexpr Codebook kFp4{std::array<float, 15>{-6.0F, -4.0F, -3.0F, -2.0F, -1.5F, -1.0F, -0.5F, 0.0F, 0.5F, 1.0F,
                                                     1.5F, 2.0F, 3.0F, 4.0F, 6.0F}};

}  // namespace sinq::inline SINQ_ABI::codebooks
