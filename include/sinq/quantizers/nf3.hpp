#pragma once

#include <sinq/quantizers/codebook.hpp>
#include <sinq/quantizers/nf_levels.hpp>

namespace sinq::codebooks {

inline constexpr Codebook kNf3{kNf3Levels};

}  // namespace sinq::codebooks
