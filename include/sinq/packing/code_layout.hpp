#pragma once

#include <sinq/layout.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace sinq::inline SINQ_ABI::detail {

/// A region of bytes or levels as files show it.
struct RegionShape {
  Index outer = 0;
  Index inner = 0;
  [[nodiscard]] constexpr Index size() const noexcept { return outer * inner; }
};

/// What a table of levels is made of. Whole numbers cost a quarter, and integer kernels multiply by them exactly; the
/// group scales take their unit in.
enum class LevelType : std::uint8_t { kF32, kI8 };

[[nodiscard]] constexpr Index level_bytes(LevelType type) noexcept { return type == LevelType::kF32 ? 4 : 1; }

/// Levels of kI8, whole numbers in -127..127, are unpacked to unsigned bytes with this added.
inline constexpr int kLevelZero = 128;

/// The stored bytes that codes are read from, each from the start of its region.
struct CodeRegions {
  const std::uint8_t* codes = nullptr;
  const std::byte* levels = nullptr;  ///< null: a code is its own level
};

/// Rows and columns that are best unpacked in one go.
struct UnpackShape {
  Index rows = 1;
  Index cols = 1;
};

/// How the codes of a matrix lie in memory and what levels they stand for: what container, pipeline, decoders, kernels
/// and files ask. Plain data, made from a `Layout`. code_layouts.hpp lists all there are; beside what stands here, each
/// has
///
///   template <class Tag> void unpack(const CodeRegions& from, RowRange rows, ColRange cols, std::uint8_t* out,
///                                    Index stride) const;
///
/// which writes one byte b for each weight of the stored rows and columns to out [rows][stride]. It stands for the
/// level b, of a table of floats for entry b, and with levels of kI8 for b - kLevelZero. `cols` begin on a multiple of
/// 16, or on a group. Up to the next multiple of 16 columns `out` is written, but no further.
template <class C>
concept CodeLayout = std::constructible_from<C, const Layout&> &&
    requires(const C& codes, const Layout& layout, const std::byte* levels) {
  { C::kLevelType } -> std::convertible_to<LevelType>;
  // Whether a layout has codes of this kind; and the first rule that it then breaks.
  { C::holds(layout) } -> std::same_as<bool>;
  { C::find_flaw(layout) } -> std::same_as<std::optional<LayoutFlaw>>;
  // The regions: codes in bytes, levels in levels.
  { codes.code_shape() } -> std::same_as<RegionShape>;
  { codes.level_shape() } -> std::same_as<RegionShape>;
  // What is wrong with the contents of a table of levels.
  { codes.find_level_flaw(levels) } -> std::same_as<std::optional<std::string>>;
  // Windows of the stored matrix begin on multiples of these rows, and on groups.
  { codes.row_step() } -> std::same_as<Index>;
  { codes.unpack_shape() } -> std::same_as<UnpackShape>;
};

}  // namespace sinq::inline SINQ_ABI::detail
