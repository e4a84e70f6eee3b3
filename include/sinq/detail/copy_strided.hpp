#pragma once

#include <sinq/types.hpp>

#include <cstddef>
#include <cstring>

namespace sinq::inline SINQ_ABI::detail {

/// Copies `count` items of `size` bytes that are `from_stride` and `to_stride` bytes apart.
inline void copy_strided(const std::byte* from, Index from_stride, std::byte* to, Index to_stride, Index count,
                         Index size) noexcept {
  for (Index i = 0; i < count; ++i) {
    std::memcpy(to + i * to_stride, from + i * from_stride, static_cast<std::size_t>(size));
  }
}

}  // namespace sinq::inline SINQ_ABI::detail
