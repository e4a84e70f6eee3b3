#pragma once

#include <sinq/detail/map.hpp>
#include <sinq/error.hpp>
#include <sinq/io/tensor_info.hpp>
#include <sinq/types.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace sinq::inline SINQ_ABI::io {

/// Keeps the place of lists of lists, which are not supported.
struct GgufArrayOfArrays {
  friend bool operator==(const GgufArrayOfArrays&, const GgufArrayOfArrays&) = default;
};

/// A list in the metadata of a GGUF file. The index of the alternative is the number that files give the type.
using GgufArray = std::variant<std::vector<std::uint8_t>, std::vector<std::int8_t>, std::vector<std::uint16_t>,
                               std::vector<std::int16_t>, std::vector<std::uint32_t>, std::vector<std::int32_t>,
                               std::vector<float>, std::vector<bool>, std::vector<std::string>, GgufArrayOfArrays,
                               std::vector<std::uint64_t>, std::vector<std::int64_t>, std::vector<double>>;

/// A value in the metadata of a GGUF file. The index of the alternative is the number that files give the type.
using GgufValue = std::variant<std::uint8_t, std::int8_t, std::uint16_t, std::int16_t, std::uint32_t, std::int32_t,
                               float, bool, std::string, GgufArray, std::uint64_t, std::int64_t, double>;

static_assert(std::variant_size_v<GgufArray> == std::variant_size_v<GgufValue>, "one numbering for both");

namespace detail {

inline constexpr std::array<std::string_view, std::variant_size_v<GgufValue>> kGgufValueNames{
    "u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "string", "array", "u64", "i64", "f64"};

/// "u32", "array of string"
[[nodiscard]] inline std::string type_text(const GgufValue& value) {
  const auto* array = std::get_if<GgufArray>(&value);
  if (array == nullptr) return std::string(kGgufValueNames[value.index()]);
  return sinq::detail::text("array of ", kGgufValueNames[array->index()]);
}

}  // namespace detail

/// The key-value pairs of a GGUF file, in order. Keys are unique.
class GgufMetadata {
 public:
  struct Entry {
    std::string key;
    GgufValue value;

    friend bool operator==(const Entry&, const Entry&) = default;
  };

  GgufMetadata() = default;
  /// `what` stands for the file in errors.
  explicit GgufMetadata(std::string what) : what_(std::move(what)) {}

  /// Adds an entry. Throws Errc::kBadFile if the key is empty, longer than 65535 bytes, or there already.
  void add(std::string key, GgufValue value) {
    if (key.empty() || key.size() > 65535) {
      SINQ_THROW(Errc::kBadFile, sinq::detail::text(what_, ": metadata key of ", key.size(), " bytes, not 1..65535"));
    }
    if (!positions_.emplace(key, entries_.size()).second) {
      SINQ_THROW(Errc::kBadFile, sinq::detail::text(what_, ": metadata ", detail::name_text(key), " stands twice"));
    }
    entries_.push_back({std::move(key), std::move(value)});
  }

  /// Gives the key that value: in its place, or as a new entry, and then throws as `add`.
  void set(std::string key, GgufValue value) {
    const auto at = positions_.find(key);
    if (at == positions_.end()) return add(std::move(key), std::move(value));
    entries_[at->second].value = std::move(value);
  }

  /// The file, as errors give it.
  [[nodiscard]] const std::string& what() const noexcept { return what_; }
  [[nodiscard]] const std::vector<Entry>& entries() const noexcept { return entries_; }
  [[nodiscard]] bool has(std::string_view key) const noexcept { return find(key) != nullptr; }

  /// The value of that key, or null.
  [[nodiscard]] const GgufValue* find(std::string_view key) const noexcept {
    const auto at = positions_.find(key);
    return at == positions_.end() ? nullptr : &entries_[at->second].value;
  }

  /// The value of that key. Throws Errc::kBadFile if there is none.
  [[nodiscard]] const GgufValue& at(std::string_view key) const {
    const GgufValue* value = find(key);
    if (value == nullptr) {
      SINQ_THROW(Errc::kBadFile, sinq::detail::text(what_, ": there is no metadata ", detail::name_text(key)));
    }
    return *value;
  }

  /// A value of exactly that type. Throws Errc::kBadFile if there is none, or one of another type.
  template <class T>
  [[nodiscard]] const T& get(std::string_view key) const {
    const GgufValue& value = at(key);
    const T* out = std::get_if<T>(&value);
    if (out == nullptr) refuse_type(key, value, detail::kGgufValueNames[GgufValue(T{}).index()]);
    return *out;
  }

  /// An array of exactly that element type. Throws Errc::kBadFile if there is none, or a value of another type.
  template <class T>
  [[nodiscard]] const std::vector<T>& array(std::string_view key) const {
    const GgufValue& value = at(key);
    const auto* list = std::get_if<GgufArray>(&value);
    const auto* out = list == nullptr ? nullptr : std::get_if<std::vector<T>>(list);
    if (out == nullptr) refuse_type(key, value, detail::type_text(GgufArray(std::vector<T>{})));
    return *out;
  }

  /// A whole number of any integer type, at least 0. Throws Errc::kBadFile if there is none, or another value.
  [[nodiscard]] Index integer(std::string_view key) const {
    const GgufValue& value = at(key);
    return std::visit(
        [&]<class T>(const T& number) -> Index {
          if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
            if (std::in_range<Index>(number) && !(number < T{0})) return static_cast<Index>(number);
            SINQ_THROW(Errc::kBadFile, sinq::detail::text(what_, ": metadata ", detail::name_text(key), " is ", number,
                                                          ", not in 0..2^63-1"));
          } else {
            refuse_type(key, value, "a whole number");
          }
        },
        value);
  }
  /// The same, or `fallback` where there is no such key.
  [[nodiscard]] Index integer_or(std::string_view key, Index fallback) const {
    return has(key) ? integer(key) : fallback;
  }

  /// A number of type f32 or f64. Throws Errc::kBadFile if there is none, or a value of another type.
  [[nodiscard]] double real(std::string_view key) const {
    const GgufValue& value = at(key);
    if (const auto* narrow = std::get_if<float>(&value)) return static_cast<double>(*narrow);
    if (const auto* wide = std::get_if<double>(&value)) return *wide;
    refuse_type(key, value, "f32 or f64");
  }
  /// The same, or `fallback` where there is no such key.
  [[nodiscard]] double real_or(std::string_view key, double fallback) const { return has(key) ? real(key) : fallback; }

 private:
  [[noreturn]] void refuse_type(std::string_view key, const GgufValue& value, std::string_view wanted) const {
    SINQ_THROW(Errc::kBadFile, sinq::detail::text(what_, ": metadata ", detail::name_text(key), " is of type ",
                                                  detail::type_text(value), ", not ", wanted));
  }

  std::string what_ = "GGUF";
  std::vector<Entry> entries_;
  sinq::detail::Map<std::string, std::size_t> positions_;
};

}  // namespace sinq::inline SINQ_ABI::io
