#pragma once

#include <sinq/abi.hpp>

#include <algorithm>
#include <cstddef>
#include <new>
#include <vector>

namespace sinq::inline SINQ_ABI::detail {

/// Memory from `operator new`, on a cache line of its own.
template <class T>
struct Allocator {
  using value_type = T;

  Allocator() = default;
  template <class U>
  constexpr Allocator(const Allocator<U>&) noexcept {}  // NOLINT(google-explicit-constructor): as the standard one

  [[nodiscard]] T* allocate(std::size_t count) {
    return static_cast<T*>(::operator new(count * sizeof(T), kAlignment));
  }
  void deallocate(T* memory, std::size_t) noexcept { ::operator delete(memory, kAlignment); }

  friend bool operator==(const Allocator&, const Allocator&) = default;

 private:
  static constexpr std::align_val_t kAlignment{std::max(std::size_t{64}, alignof(T))};
};

/// A vector whose functions have names of this namespace. Of `std::vector<float>`'s the linker keeps one set for all
/// files of a program, perhaps that of a file compiled for a machine that this one is not (see abi.hpp): working memory
/// is of this type; only what callers are handed is a `std::vector`.
template <class T>
using Vector = std::vector<T, Allocator<T>>;

}  // namespace sinq::inline SINQ_ABI::detail
