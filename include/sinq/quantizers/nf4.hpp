#pragma once

#include <sinq/quantizers/codebook.hpp>
#include <sinq/quantizers/nf_levels.hpp>

namespace sinq::inline SINQ_ABI::codebooks {

inline constexpr Codebook kNf4{kNf4Levels};

}  // namespace sinq::inline SINQ_ABI::codebooks
