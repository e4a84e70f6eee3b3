#pragma once

#include <sinq/error.hpp>
#include <sinq/io/json_events.hpp>
#include <sinq/io/metadata.hpp>
#include <sinq/io/tensor_info.hpp>
#include <sinq/quantized_matrix.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace sinq::inline SINQ_ABI::io {

/// The entry of a safetensors header's "__metadata__" that says how quantized tensors are stored, and what it says.
inline constexpr std::string_view kQuantizedVersionKey = "sinq.version";
/// The version that this library writes; it reads 1 to this one. Before 2 there was no lane trellis, before 3 there
/// were vector codes.
inline constexpr int kQuantizedVersion = 3;
/// Followed by the name of a quantized tensor: the key of its layout.
inline constexpr std::string_view kQuantizedLayoutKey = "sinq.layout.";

namespace detail {

/// How files spell the values of an enum, in their order.
template <class Enum>
inline constexpr std::array<std::string_view, 0> kSpellings{};
template <>
inline constexpr std::array<std::string_view, 2> kSpellings<OffsetKind>{"shared", "zero_point"};
template <>
inline constexpr std::array<std::string_view, 4> kSpellings<AuxFormat>{"f16", "f32", "u8", "u6"};
template <>
inline constexpr std::array<std::string_view, 2> kSpellings<ColScaleKind>{"none", "stored"};

/// Whether a field stands in every text, or only where it is not zero.
enum class Presence { kAlways, kNotZero };

/// Calls `visit(name, field, presence)` for every field of a layout that stands in its JSON text, in the order of the
/// text. `matrix_scale` is a tensor: everything here is known before a matrix is quantized.
template <class SomeLayout, class Visit>
void for_each_field(SomeLayout& layout, const Visit& visit) {
  visit("rows", layout.rows);
  visit("cols", layout.cols);
  visit("bits", layout.bits);
  visit("group_size", layout.group_size);
  visit("row_block", layout.row_block);
  visit("level_count", layout.level_count);
  visit("offset", layout.offset);
  visit("aux", layout.aux);
  visit("col_scale", layout.col_scale);
  visit("shared_zero_point", layout.shared_zero_point);
  visit("quarter_bits", layout.quarter_bits, Presence::kNotZero);
}

/// Fields that stood in every text before version 3. They say 1 and "in_levels" of codes that each stand for one
/// weight; what else they said was of vector codes.
inline constexpr std::array<std::string_view, 2> kFormerFields{"vector_dim", "signs"};

/// Reads the JSON text of a layout: one flat object with every field once, those that may be zero and former ones at
/// most once, and nothing else.
class LayoutEvents final : public JsonEvents {
 public:
  using JsonEvents::JsonEvents;

  Layout layout;

  bool start_object(std::size_t) override {
    if (std::exchange(in_object_, true)) return unexpected("an object");
    return true;
  }
  bool key(string_t& key) override {
    key_ = std::move(key);
    int position = 0, found = -1;
    const auto look_at = [&](std::string_view name) {
      if (name == key_) found = position;
      ++position;
    };
    for_each_field(layout, [&](std::string_view name, const auto&, Presence = {}) { look_at(name); });
    for (const std::string_view name : kFormerFields) look_at(name);
    if (found < 0) refuse("unknown field ", name_text(key_));
    if ((seen_ >> found & 1U) != 0) refuse("the field '", key_, "' stands twice");
    seen_ |= 1U << found;
    return true;
  }
  bool number_unsigned(number_unsigned_t value) override { return assign(value, "a number"); }
  bool number_integer(number_integer_t value) override { return assign(value, "a negative number"); }
  bool number_float(number_float_t value, const string_t&) override { return assign(value, "a fraction"); }
  bool string(string_t& value) override { return assign(std::string_view(value), "a string"); }
  bool end_object() override {
    int position = 0;
    for_each_field(layout, [&](std::string_view name, const auto&, Presence presence = Presence::kAlways) {
      if ((seen_ >> position++ & 1U) == 0 && presence == Presence::kAlways) refuse("the field '", name, "' is missing");
    });
    return true;
  }

 private:
  bool unexpected(std::string_view event) const override {
    if (!in_object_) refuse("unexpected ", event, " instead of an object");
    refuse("unexpected ", event, " in ", name_text(key_));
  }

  /// Puts what stands at `key_` into its field; `event` is what it is, should that be of no use there.
  template <class Value>
  bool assign(Value value, std::string_view event) {
    if (!in_object_) return unexpected(event);
    for_each_field(layout, [&](std::string_view name, auto& field, Presence = {}) {
      if (name == key_) set(field, value, event);
    });
    if (std::find(kFormerFields.begin(), kFormerFields.end(), key_) != kFormerFields.end())
      require_scalar(value, event);
    return true;
  }

  /// Of a former field.
  template <class Value>
  void require_scalar(Value value, std::string_view event) const {
    std::string shown;
    if constexpr (std::is_same_v<Value, number_unsigned_t>) {
      if (key_ != "vector_dim") unexpected(event);
      if (value == 1) return;
      shown = sinq::detail::text(value);
    } else if constexpr (std::is_same_v<Value, std::string_view>) {
      if (key_ != "signs") unexpected(event);
      if (value == "in_levels") return;
      shown = name_text(value);
    } else {
      unexpected(event);
    }
    SINQ_THROW(Errc::kUnsupported,
               sinq::detail::text(what(), ": the field '", key_, "' is ", shown,
                                  ": vector codes were removed from this library; quantize the matrix again, with the "
                                  "lane trellis (sinq::Trellis), which is more accurate in as many bits"));
  }

  template <class Field, class Value>
  void set(Field& field, Value value, std::string_view event) const {
    if constexpr (std::is_enum_v<Field> && std::is_same_v<Value, std::string_view>) {
      for (std::size_t i = 0; i < kSpellings<Field>.size(); ++i) {
        if (kSpellings<Field>[i] != value) continue;
        field = static_cast<Field>(i);
        return;
      }
      refuse("the field '", key_, "' is ", name_text(value), ", which is none of its values");
    } else if constexpr (std::is_same_v<Field, float> && std::is_arithmetic_v<Value>) {
      // Whoever reads the text as float64 gets the same number.
      const auto wide = static_cast<double>(value);
      const bool fits = wide >= -kLargestFloat && wide <= kLargestFloat;
      if (!fits || static_cast<double>(static_cast<float>(wide)) != wide) {
        refuse("the field '", key_, "' is ", wide, ", which float32 does not have");
      }
      field = static_cast<float>(wide);
    } else if constexpr (std::is_integral_v<Field> && std::is_unsigned_v<Value>) {
      if (value > static_cast<std::uint64_t>(std::numeric_limits<Field>::max())) {
        refuse("the field '", key_, "' is ", value, ", which is more than ", std::numeric_limits<Field>::max());
      }
      field = static_cast<Field>(value);
    } else {
      unexpected(event);
    }
  }

  static constexpr double kLargestFloat = static_cast<double>(std::numeric_limits<float>::max());

  bool in_object_ = false;
  std::uint32_t seen_ = 0;
  std::string key_;
};

/// The layout that `text` describes. `what` stands for the text in errors. Throws Errc::kBadFile.
[[nodiscard]] inline Layout parse_layout(std::string_view text, std::string_view what) {
  LayoutEvents events(what, 0);
  events.parse(std::as_bytes(std::span(text)));
  if (const auto flaw = sinq::detail::find_flaw(events.layout)) {
    SINQ_THROW(Errc::kBadFile, sinq::detail::text(what, ": ", flaw->text));
  }
  return events.layout;
}

[[nodiscard]] inline bool is_known_version(std::string_view version) {
  for (int known = 1; known <= kQuantizedVersion; ++known) {
    if (version == sinq::detail::text(known)) return true;
  }
  return false;
}

/// Refuses metadata of a version that this library does not know, or, if it has layouts, of none.
/// Throws Errc::kUnsupported or kBadFile.
inline void check_quantized_version(const Metadata& metadata, std::string_view what) {
  const auto version = metadata.find(std::string(kQuantizedVersionKey));
  if (version != metadata.end() && !is_known_version(version->second)) {
    SINQ_THROW(Errc::kUnsupported,
               sinq::detail::text(what, ": metadata '", kQuantizedVersionKey, "' is ", name_text(version->second),
                                  ", this library reads versions 1 to ", kQuantizedVersion));
  }
  const auto layout = metadata.lower_bound(std::string(kQuantizedLayoutKey));
  if (version == metadata.end() && layout != metadata.end() && layout->first.starts_with(kQuantizedLayoutKey)) {
    SINQ_THROW(Errc::kBadFile, sinq::detail::text(what, ": metadata has ", name_text(layout->first), " but no '",
                                                  kQuantizedVersionKey, "'"));
  }
}

}  // namespace detail

/// The JSON text of a layout, all but `matrix_scale`: the same layout gives the same text.
[[nodiscard]] inline std::string layout_text(const Layout& layout) {
  std::string out = "{";
  detail::for_each_field(layout, [&]<class Field>(std::string_view name, const Field& field,
                                                  detail::Presence presence = detail::Presence::kAlways) {
    if (presence == detail::Presence::kNotZero && field == Field{}) return;
    out += sinq::detail::text(out.size() > 1 ? ",\"" : "\"", name, "\":");
    if constexpr (std::is_enum_v<Field>) {
      out += sinq::detail::text('"', detail::kSpellings<Field>[static_cast<std::size_t>(field)], '"');
    } else if constexpr (std::is_same_v<Field, float>) {
      out += sinq::detail::text(static_cast<double>(field) + 0.0);  // no -0
    } else {
      out += sinq::detail::text(field);
    }
  });
  return out + "}";
}

/// The entry of "__metadata__" for the quantized tensor `name`. A file needs the version's entry, too
/// (`quantized_version_metadata`).
[[nodiscard]] inline std::pair<std::string, std::string> quantized_metadata(std::string_view name,
                                                                            const Layout& layout) {
  return {sinq::detail::text(kQuantizedLayoutKey, name), layout_text(layout)};
}

/// The entry of "__metadata__" that every file with quantized tensors has.
[[nodiscard]] inline std::pair<std::string, std::string> quantized_version_metadata() {
  return {std::string(kQuantizedVersionKey), sinq::detail::text(kQuantizedVersion)};
}

}  // namespace sinq::inline SINQ_ABI::io
