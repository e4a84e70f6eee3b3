#pragma once

#include <sinq/detail/cleared_on_move.hpp>
#include <sinq/error.hpp>
#include <sinq/types.hpp>

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <span>
#include <string_view>

namespace sinq::inline SINQ_ABI::detail {

/// Zeroed bytes on a cache line of their own. Move-only; empty when moved from.
class ZeroedBytes {
 public:
  ZeroedBytes() = default;
  /// `owner` stands for them in the error. Throws Errc::kIo if there is no memory.
  ZeroedBytes(Index count, std::string_view owner) {
    constexpr std::size_t kAlignment = 64;
    const auto size = static_cast<std::size_t>(count);
    // calloc, because the system hands out large zeroed blocks without writing them.
    allocation_.reset(std::calloc(size + kAlignment, 1));
    if (!allocation_) SINQ_THROW(Errc::kIo, text(owner, ": no memory for ", size, " bytes"));
    void* aligned = allocation_.get();
    std::size_t space = size + kAlignment;
    bytes_ = std::span(static_cast<std::byte*>(std::align(kAlignment, size, aligned, space)), size);
  }

  [[nodiscard]] std::span<std::byte> bytes() noexcept { return *bytes_; }
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return *bytes_; }

 private:
  struct Free {
    void operator()(void* p) const noexcept { std::free(p); }
  };

  std::unique_ptr<void, Free> allocation_;
  ClearedOnMove<std::span<std::byte>> bytes_;
};

}  // namespace sinq::inline SINQ_ABI::detail
