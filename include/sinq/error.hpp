#pragma once

#include <sinq/abi.hpp>

#include <charconv>
#include <concepts>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <string_view>

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

/// A part of an error's text, its type erased: the function that writes texts is compiled once.
class TextPart {
 public:
  TextPart(std::string_view text) noexcept : kind_(Kind::kText), text_(text) {}
  TextPart(const char* text) noexcept : TextPart(std::string_view(text)) {}
  TextPart(const std::string& text) noexcept : TextPart(std::string_view(text)) {}
  TextPart(char c) noexcept : kind_(Kind::kChar), char_(c) {}
  TextPart(bool value) noexcept : TextPart(value ? "true" : "false") {}
  TextPart(float value) noexcept : kind_(Kind::kFloat), float_(value) {}
  TextPart(double value) noexcept : kind_(Kind::kDouble), double_(value) {}
  template <std::signed_integral Number>
  TextPart(Number value) noexcept : kind_(Kind::kSigned), signed_(value) {}
  template <std::unsigned_integral Number>
  TextPart(Number value) noexcept : kind_(Kind::kUnsigned), unsigned_(value) {}

  void append_to(std::string& out) const {
    char digits[32];
    const char* end = digits;
    switch (kind_) {
      case Kind::kText:
        out += text_;
        return;
      case Kind::kChar:
        out += char_;
        return;
      case Kind::kFloat:
        end = std::to_chars(digits, digits + sizeof digits, float_).ptr;
        break;
      case Kind::kDouble:
        end = std::to_chars(digits, digits + sizeof digits, double_).ptr;
        break;
      case Kind::kSigned:
        end = std::to_chars(digits, digits + sizeof digits, signed_).ptr;
        break;
      case Kind::kUnsigned:
        end = std::to_chars(digits, digits + sizeof digits, unsigned_).ptr;
        break;
    }
    out += std::string_view(digits, static_cast<std::size_t>(end - digits));
  }

 private:
  enum class Kind : std::uint8_t { kText, kChar, kFloat, kDouble, kSigned, kUnsigned };
  Kind kind_;
  union {
    std::string_view text_;
    char char_;
    float float_;
    double double_;
    std::int64_t signed_;
    std::uint64_t unsigned_;
  };
};

inline std::string join_text(std::initializer_list<TextPart> parts) {
  std::string out;
  for (const TextPart& part : parts) part.append_to(out);
  return out;
}

/// Text from parts, without streams and locales. (By value: literals of all lengths are one type.)
template <class... Parts>
std::string text(Parts... parts) {
  return join_text({TextPart(parts)...});
}

[[noreturn, gnu::cold]] inline void raise(Errc code, const std::string& message) {
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
