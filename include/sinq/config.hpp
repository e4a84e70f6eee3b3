#pragma once

#include <sinq/finite.hpp>
#include <sinq/normalize/identity.hpp>
#include <sinq/normalize/sinkhorn.hpp>
#include <sinq/packing/code_layouts.hpp>
#include <sinq/quantizers/panel_quantizer.hpp>
#include <sinq/quantizers/uniform.hpp>
#include <sinq/types.hpp>

namespace sinq::inline SINQ_ABI {

/// What happens where the columns are not a multiple of the tile.
enum class RaggedTile : std::uint8_t {
  kKeep,   ///< the last tile and group are narrower
  kHalve,  ///< the group is halved until it divides the columns, down to 16 (reference, 1D); else an error
};

/// Which scales and zero points codes are rounded with.
enum class CodesAgainst : std::uint8_t {
  kStored,  ///< those a reader will decode
  kFitted,  ///< those before their storage rounded them, as in the reference
};

/// Everything about how a matrix is quantized. Plain data; every field has the default that `quantize(w)` uses.
/// Q: a TileQuantizer, a PanelQuantizer, or a user's GroupQuantizer. N: Sinkhorn, Identity or a user's own.
template <class Q = Uniform, Normalizer N = Sinkhorn>
requires(TileQuantizer<Q> || PanelQuantizer<Q> || GroupQuantizer<Q>) struct Config {
  Q quantizer{};
  N normalizer{};
  Index group_size = 64;  ///< columns sharing one scale and zero point; a multiple of 8, may exceed the columns
  Index tile_cols = 0;    ///< columns of a tile: 0 = group_size, else a multiple of it
  Tiling tiling = Tiling::kColumns;
  AuxFormat aux = AuxFormat::kF16;

  // How the reference differs: `reference_compatible` sets all of these.
  Thresholds thresholds = Thresholds::kRelative;
  float kurtosis_gate = 0.0F;  ///< above this kurtosis (normal = 3) a matrix gets plain RTN; 0 = no gate; reference: 5
  RaggedTile ragged = RaggedTile::kKeep;
  CodesAgainst codes_against = CodesAgainst::kStored;
  InputRounding input_rounding = InputRounding::kNone;

  friend bool operator==(const Config&, const Config&) = default;
};

namespace detail {

/// A configuration without the types of its quantizer and normalizer: what is compiled once for all of them reads this.
struct Method {
  CodeFormat format;
  ColScaleUse col_scale = ColScaleUse::kUsed;
  Index group_size = 0;
  Index tile_cols = 0;
  Tiling tiling = Tiling::kColumns;
  AuxFormat aux = AuxFormat::kF16;
  Thresholds thresholds = Thresholds::kRelative;
  float kurtosis_gate = 0.0F;
  RaggedTile ragged = RaggedTile::kKeep;
  CodesAgainst codes_against = CodesAgainst::kStored;
  InputRounding input_rounding = InputRounding::kNone;
  bool codes_panels = false;  ///< by a PanelQuantizer
};

/// The method of `config`, which it refers to for its levels.
template <class Q, class N>
[[nodiscard]] Method method_of(const Config<Q, N>& config) {
  return {config.quantizer.format(), N::kColScale,          config.group_size,
          config.tile_cols,          config.tiling,         config.aux,
          config.thresholds,         config.kurtosis_gate,  config.ragged,
          config.codes_against,      config.input_rounding, PanelQuantizer<Q>};
}

template <class... Parts>
[[noreturn, gnu::cold]] void refuse_config(Parts... parts) {
  SINQ_THROW(Errc::kBadConfig, text(parts...));
}

/// `layout` with what a quantizer says of its codes.
[[nodiscard]] inline Layout with_format(Layout layout, const CodeFormat& format) {
  const bool is_shared = format.symmetry == Symmetry::kSymmetric;
  layout.bits = format.bits;
  layout.quarter_bits = format.quarter_bits;
  layout.level_count = format.level_count();
  layout.offset = is_shared ? OffsetKind::kShared : OffsetKind::kZeroPoint;
  layout.shared_zero_point = is_shared ? format.shared_zero_point : 0.0F;
  return layout;
}

/// What a quantizer says of its codes.
inline void validate_format(const Method& method) {
  const CodeFormat& format = method.format;
  const Layout layout = with_format({.group_size = method.group_size}, format);
  if (const auto flaw = with_codes(layout, [&](const auto& codes) { return codes.find_flaw(layout); })) {
    refuse_config("quantizer: ", flaw->text);
  }
  if (TrellisCodes::holds(layout) != method.codes_panels) {
    refuse_config("quantizer: quarter_bits ", layout.quarter_bits,
                  method.codes_panels ? ": whole panels are coded by" : ": codes of single groups are not",
                  " the lane trellis");
  }
  if (method.codes_panels && method.codes_against != CodesAgainst::kStored) {
    refuse_config("codes_against: panels are coded against stored scales only");
  }
  for (std::size_t i = 0; i < format.levels.size(); ++i) {
    if (!is_finite(format.levels[i]) || (i > 0 && format.levels[i] < format.levels[i - 1])) {
      refuse_config("quantizer: level ", i, " = ", format.levels[i], " is not finite and ascending");
    }
  }
  const Index table = with_codes(layout, [](const auto& codes) { return codes.level_shape().size(); });
  if (static_cast<Index>(format.levels.size() + format.byte_levels.size()) != table) {
    refuse_config("quantizer: a table of ", format.levels.size() + format.byte_levels.size(), " numbers is not the ",
                  table, " that its format has");
  }
  if (method.kurtosis_gate > 0.0F && !ScalarCodes::holds(layout)) {
    refuse_config("kurtosis_gate ", method.kurtosis_gate, ": there is no plain rounding in the size of these codes");
  }
}

inline void validate(const Method& method) {
  if (method.group_size <= 0) refuse_config("group_size ", method.group_size, " is not positive");
  if (method.group_size % 8 != 0) refuse_config("group_size ", method.group_size, " is not a multiple of 8");
  if (method.group_size > kMaxWeights) {
    refuse_config("group_size ", method.group_size, " is more than 2^", kMaxWeightsLog2);
  }
  if (method.tile_cols < 0 || method.tile_cols > kMaxWeights || method.tile_cols % method.group_size != 0) {
    refuse_config("tile_cols ", method.tile_cols, " is not 0 or a multiple of group_size ", method.group_size);
  }
  if (is_nan(method.kurtosis_gate) || method.kurtosis_gate < 0.0F)
    refuse_config("kurtosis_gate ", method.kurtosis_gate, " is not 0 or positive");
  validate_format(method);
}

/// See the public one.
[[nodiscard]] inline Index effective_group_size(const Method& method, Index cols) {
  if (method.ragged == RaggedTile::kKeep) return method.group_size;
  Index size = method.group_size;
  if (method.tiling == Tiling::kColumns) {
    while (size >= 16 && cols % size != 0) size /= 2;
  }
  if (size < 16 || cols % size != 0 || size % 8 != 0) {
    refuse_config("group_size ", method.group_size, " does not divide cols ", cols,
                  ", nor does any half of it that is at least 16 and a multiple of 8 (RaggedTile::kHalve)");
  }
  return size;
}

[[nodiscard]] inline Index tile_cols(const Method& method, Index group_size) noexcept {
  return method.tile_cols == 0 ? group_size : method.tile_cols / method.group_size * group_size;
}

}  // namespace detail

/// Checks every field. Throws Errc::kBadConfig with field, value and rule.
template <class Q, class N>
void validate(const Config<Q, N>& config) {
  config.quantizer.validate();
  config.normalizer.validate();
  detail::validate(detail::method_of(config));
}

/// The same method with the reference's semantics (huawei-csl/SINQ 6930f78): absolute thresholds, kurtosis gate,
/// tile halving, integer zero points, codes rounded before aux, aux in float32, no guard of degenerate tiles.
template <class Q, class N>
[[nodiscard]] Config<Q, N> reference_compatible(Config<Q, N> config) {
  config.thresholds = Thresholds::kAbsolute;
  config.kurtosis_gate = 5.0F;
  config.ragged = RaggedTile::kHalve;
  config.codes_against = CodesAgainst::kFitted;
  config.aux = AuxFormat::kF32;
  if constexpr (requires { config.quantizer.zero_point = ZeroPoint::kInteger; }) {
    config.quantizer.zero_point = ZeroPoint::kInteger;
  }
  if constexpr (requires { config.quantizer.symmetric_range = SymmetricRange::kReference; }) {
    config.quantizer.symmetric_range = SymmetricRange::kReference;
  }
  if constexpr (requires { config.quantizer.division = Division::kExact; }) {
    config.quantizer.division = Division::kExact;
  }
  if constexpr (requires { config.normalizer.degenerate = DegenerateTiles::kAsReference; }) {
    config.normalizer.degenerate = DegenerateTiles::kAsReference;
  }
  return config;
}

/// The group size that `config` gives for a matrix of `cols` columns: itself, or the halved one of RaggedTile::kHalve.
/// Throws Errc::kBadConfig where halving ends below 16 without dividing the columns.
template <class Q, class N>
[[nodiscard]] Index effective_group_size(const Config<Q, N>& config, Index cols) {
  return detail::effective_group_size(detail::method_of(config), cols);
}

}  // namespace sinq::inline SINQ_ABI
