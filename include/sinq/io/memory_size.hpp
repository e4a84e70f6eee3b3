#pragma once

#include <sinq/error.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>

namespace sinq::inline SINQ_ABI::io::detail {

/// A size or position in a file as one in memory. Throws Errc::kUnsupported where memory is smaller: files have 64
/// bits, addresses perhaps 32.
template <class Size = std::size_t>
[[nodiscard]] Size memory_size(std::uint64_t bytes) {
  if constexpr (sizeof(Size) >= sizeof bytes) {
    return bytes;
  } else {
    if (bytes > std::numeric_limits<Size>::max()) {
      SINQ_THROW(Errc::kUnsupported, sinq::detail::text(bytes, " bytes are more than this machine can address"));
    }
    return static_cast<Size>(bytes);
  }
}

}  // namespace sinq::inline SINQ_ABI::io::detail
