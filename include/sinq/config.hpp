#pragma once

#include <sinq/finite.hpp>
#include <sinq/normalize/identity.hpp>
#include <sinq/normalize/sinkhorn.hpp>
#include <sinq/packing/aux_codec.hpp>
#include <sinq/quantizers/codebook.hpp>
#include <sinq/quantizers/hqq.hpp>
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
/// Q: a TileQuantizer, or a user's GroupQuantizer. N: Sinkhorn, Identity or a user's own.
template <class Q = Uniform, Normalizer N = Sinkhorn>
requires(TileQuantizer<Q> || GroupQuantizer<Q>) struct Config {
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

template <class Config>
void validate_vectors(const Config& config, const CodeFormat& format) {
  const auto refuse = [](const auto&... parts) { SINQ_THROW(Errc::kBadConfig, detail::text(parts...)); };
  const Index strip = config.tile_cols == 0 ? config.group_size : config.tile_cols;
  const Index bits = strip / format.vector_dim * format.bits;
  if (bits % 8 != 0) {
    refuse(config.tile_cols == 0 ? "group_size " : "tile_cols ", strip, " makes ", bits,
           " bits of vector codes, which are not whole bytes");
  }
  if (config.kurtosis_gate > 0.0F) {
    refuse("kurtosis_gate ", config.kurtosis_gate, ": there is no plain rounding in the size of vector codes");
  }
  const auto entries = std::size_t{1} << format.bits;
  if (format.vector_levels.size() != entries * static_cast<std::size_t>(format.vector_dim)) {
    refuse("quantizer: ", format.vector_levels.size(), " bytes of table are not 2^bits vectors of ", format.vector_dim,
           ", bits = ", format.bits);
  }
}

}  // namespace detail

/// Checks every field. Throws Errc::kBadConfig with field, value and rule.
template <class Q, class N>
void validate(const Config<Q, N>& config) {
  const auto refuse = [](const auto&... parts) { SINQ_THROW(Errc::kBadConfig, detail::text(parts...)); };
  constexpr Index kMaxGroup = Index{1} << 40;
  config.quantizer.validate();
  config.normalizer.validate();
  if (config.group_size <= 0) refuse("group_size ", config.group_size, " is not positive");
  if (config.group_size % 8 != 0) refuse("group_size ", config.group_size, " is not a multiple of 8");
  if (config.group_size > kMaxGroup) refuse("group_size ", config.group_size, " is more than 2^40");
  if (config.tile_cols < 0 || config.tile_cols > kMaxGroup || config.tile_cols % config.group_size != 0) {
    refuse("tile_cols ", config.tile_cols, " is not 0 or a multiple of group_size ", config.group_size);
  }
  if (is_nan(config.kurtosis_gate) || config.kurtosis_gate < 0.0F)
    refuse("kurtosis_gate ", config.kurtosis_gate, " is not 0 or positive");
  const CodeFormat format = config.quantizer.format();
  if (format.vector_dim != 1) return detail::validate_vectors(config, format);
  if (format.bits < 1 || format.bits > 8) refuse("quantizer: bits ", format.bits, " is not in 1..8");
  if (!format.levels.empty() && format.levels.size() != std::size_t{1} << format.bits) {
    refuse("quantizer: ", format.levels.size(), " levels are not 2^bits, bits = ", format.bits);
  }
  for (std::size_t i = 0; i < format.levels.size(); ++i) {
    if (!is_finite(format.levels[i]) || (i > 0 && format.levels[i] < format.levels[i - 1])) {
      refuse("quantizer: level ", i, " = ", format.levels[i], " is not finite and ascending");
    }
  }
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
  if (config.ragged == RaggedTile::kKeep) return config.group_size;
  Index size = config.group_size;
  if (config.tiling == Tiling::kColumns) {
    while (size >= 16 && cols % size != 0) size /= 2;
  }
  if (size < 16 || cols % size != 0 || size % 8 != 0) {
    SINQ_THROW(Errc::kBadConfig,
               detail::text("group_size ", config.group_size, " does not divide cols ", cols,
                            ", nor does any half of it that is at least 16 and a multiple of 8 (RaggedTile::kHalve)"));
  }
  return size;
}

}  // namespace sinq::inline SINQ_ABI
