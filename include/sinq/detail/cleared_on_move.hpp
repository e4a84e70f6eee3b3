#pragma once

#include <sinq/abi.hpp>

#include <utility>

namespace sinq::inline SINQ_ABI::detail {

/// A value that is T{} again when it was moved from. Sizes and spans of owners are: else a moved-from owner would
/// describe memory that it no longer has.
template <class T>
class ClearedOnMove {
 public:
  constexpr ClearedOnMove() = default;
  constexpr ClearedOnMove(const T& value) noexcept : value_(value) {}  // NOLINT(google-explicit-constructor)
  constexpr ClearedOnMove(const ClearedOnMove&) = default;
  constexpr ClearedOnMove& operator=(const ClearedOnMove&) = default;
  constexpr ClearedOnMove(ClearedOnMove&& other) noexcept : value_(std::exchange(other.value_, T{})) {}
  constexpr ClearedOnMove& operator=(ClearedOnMove&& other) noexcept {
    value_ = std::exchange(other.value_, T{});
    return *this;
  }
  ~ClearedOnMove() = default;

  constexpr operator const T&() const noexcept { return value_; }  // NOLINT(google-explicit-constructor)
  [[nodiscard]] constexpr const T& operator*() const noexcept { return value_; }
  [[nodiscard]] constexpr T& operator*() noexcept { return value_; }
  [[nodiscard]] constexpr const T* operator->() const noexcept { return &value_; }
  [[nodiscard]] constexpr T* operator->() noexcept { return &value_; }

 private:
  T value_{};
};

}  // namespace sinq::inline SINQ_ABI::detail
