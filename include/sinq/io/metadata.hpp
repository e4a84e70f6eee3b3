#pragma once

#include <sinq/detail/map.hpp>

#include <string>

namespace sinq::inline SINQ_ABI::io {

/// The texts of a safetensors file ("__metadata__"), by their keys.
using Metadata = sinq::detail::Map<std::string, std::string>;

}  // namespace sinq::inline SINQ_ABI::io
