#pragma once

#include <sinq/abi.hpp>
#include <sinq/kernels/dot_kind.hpp>
#include <sinq/types.hpp>

#include <cstddef>
#include <cstdint>

namespace sinq::inline SINQ_ABI {

class QuantizedView;
class RepackedView;
class ScaledInput;
struct PanelGeometry;

namespace detail {
struct ResultView;
}  // namespace detail

/// What moves and multiplies interleaved vector codes. A matrix of such codes carries it from `repack` on, so that
/// programs without them compile none of it; there is one, `kVectorCodes` of kernels/vector_codes.hpp.
struct VectorKernels {
  /// The codes and signs of `count` rows of a super-block from row-major order ...
  void (*to_panel)(const QuantizedView& view, const PanelGeometry& geometry, Index panel, Index super, Index count,
                   std::byte* base) noexcept;
  /// ... and back to it: `codes` and `signs` are the regions.
  void (*to_rows)(const RepackedView& view, Index panel, Index super, std::uint8_t* codes,
                  std::uint8_t* signs) noexcept;
  void (*multiply)(const RepackedView& view, const ScaledInput& x, RowRange rows, const detail::ResultView& result,
                   detail::DotKind kind);
};

}  // namespace sinq::inline SINQ_ABI
