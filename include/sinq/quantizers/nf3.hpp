#pragma once

#include <sinq/quantizers/codebook.hpp>

namespace sinq::codebooks {

/// NormalFloat-3, the table of the SINQ reference: three negative levels, zero, four positive ones.
inline constexpr Codebook kNf3{std::array<float, 8>{-1.0F, -0.5350227355957031F, -0.2469314038753510F, 0.0F,
                                                    0.1833375245332718F, 0.3819939494132996F, 0.6229856610298157F,
                                                    1.0F}};

}  // namespace sinq::codebooks
