#pragma once

#include <sinq/kernels/repack.hpp>
#include <sinq/quantized_matrix.hpp>

#include <concepts>

namespace sinq::inline SINQ_ABI {

class TrellisView;

/// A weight matrix that kernels run from: row-major or row-interleaved, owning or not, or a lane trellis
/// (kernels/trellis.hpp).
template <class T>
concept Weights = std::same_as<T, QuantizedView> || std::same_as<T, QuantizedMatrix> || std::same_as<T, RepackedView> ||
    std::same_as<T, RepackedMatrix> || std::same_as<T, TrellisView>;

namespace detail {

[[nodiscard]] inline const QuantizedView& view_of(const QuantizedView& w) noexcept { return w; }
[[nodiscard]] inline const RepackedView& view_of(const RepackedView& w) noexcept { return w; }
[[nodiscard]] inline const TrellisView& view_of(const TrellisView& w) noexcept { return w; }
[[nodiscard]] inline QuantizedView view_of(const QuantizedMatrix& w) { return w.view(); }
[[nodiscard]] inline RepackedView view_of(const RepackedMatrix& w) { return w.view(); }

}  // namespace detail
}  // namespace sinq::inline SINQ_ABI
