#pragma once

#include <sinq/abi.hpp>

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

namespace sinq::inline SINQ_ABI {

/// What kind of thing was wrong. The text of an `Error` says field, value and rule.
enum class Errc {
  kBadConfig,    ///< a field of a configuration breaks its rule
  kBadShape,     ///< rows, columns, ranges or buffer sizes do not fit together
  kBadData,      ///< NaN, Inf or magnitudes beyond float32 in a matrix
  kBadFile,      ///< a file is truncated, inconsistent or hostile
  kUnsupported,  ///< well-formed, but nothing this library can do
  kIo,           ///< the operating system refused
  kCancelled,    ///< the caller's progress callback asked to stop
};

/// Every error of the library, thrown by `SINQ_THROW`.
class Error : public std::runtime_error {
 public:
  Error(Errc code, const std::string& message) : std::runtime_error(message), code_(code) {}
  [[nodiscard]] Errc code() const noexcept { return code_; }

 private:
  Errc code_;
};

namespace detail {

inline void append(std::string& out, std::string_view text) { out += text; }

inline void append(std::string& out, char c) { out += c; }

template <class Number>
requires(std::is_arithmetic_v<Number> && !std::is_same_v<Number, char>) void append(std::string& out, Number value) {
  char digits[32];
  if constexpr (std::is_same_v<Number, bool>) {
    out += value ? "true" : "false";
  } else {
    const char* end = std::to_chars(digits, digits + sizeof digits, value).ptr;
    out += std::string_view(digits, static_cast<std::size_t>(end - digits));
  }
}

/// Text from parts, without streams and locales.
template <class... Parts>
std::string text(const Parts&... parts) {
  std::string out;
  (append(out, parts), ...);
  return out;
}

[[noreturn]] inline void raise(Errc code, const std::string& message) {
#if defined(__cpp_exceptions)
  throw Error(code, message);
#else
  static_cast<void>(code);
  std::fputs(text("sinq: ", message, '\n').c_str(), stderr);
  std::abort();
#endif
}

/// Of SINQ_ASSERT: says what and where before it ends the program.
[[noreturn]] inline void assertion_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "sinq: %s:%d: not true: %s\n", file, line, condition);
  std::abort();
}

}  // namespace detail
}  // namespace sinq::inline SINQ_ABI

/// How an error leaves the library. Define it before the first include to route errors elsewhere; it must not return.
/// Without exceptions the default writes the text to stderr and aborts.
#ifndef SINQ_THROW
#define SINQ_THROW(code, message) ::sinq::detail::raise((code), (message))
#endif

/// What the library promises itself inside a kernel: checked in debug builds only. (What callers promise is always
/// checked, by SINQ_THROW.) Define it before the first include to override.
#ifndef SINQ_ASSERT
#ifdef NDEBUG
#define SINQ_ASSERT(condition) static_cast<void>(0)
#else
#define SINQ_ASSERT(condition) \
  ((condition) ? static_cast<void>(0) : ::sinq::detail::assertion_failed(#condition, __FILE__, __LINE__))
#endif
#endif
