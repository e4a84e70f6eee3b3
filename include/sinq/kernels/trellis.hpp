#pragma once

#include <sinq/compiled.hpp>
#include <sinq/error.hpp>
#include <sinq/kernels/multiply.hpp>
#include <sinq/packing/trellis_codes.hpp>
#include <sinq/quantized_matrix.hpp>

namespace sinq::inline SINQ_ABI {

/// A lane trellis for `matvec` and `matmul`, which run it as it is stored: what `repack` is to other codes, and free. A
/// view of the same matrix, window included. Only programs that include this compile the kernels; a QuantizedView of a
/// trellis is multiplied, too, but slowly and in kFloat only.
class TrellisView : public QuantizedView {
 public:
  /// Throws kUnsupported for other codes.
  explicit TrellisView(const QuantizedView& view) : QuantizedView(view) {
    if (!detail::TrellisCodes::holds(view.layout())) {
      SINQ_THROW(Errc::kUnsupported, "TrellisView: the matrix is no lane trellis: repack it, or multiply it as it is");
    }
  }
};

namespace detail {

template <>
SINQ_DECL void multiply_vector<TrellisView>(const TrellisView& view, const ScaledInput& in, RowRange rows,
                                            const ResultView& result, DotKind kind);
template <>
SINQ_DECL void multiply_batch<TrellisView>(const TrellisView& view, const ScaledInput& in, RowRange rows,
                                           const ResultView& result, DotKind kind);

}  // namespace detail
}  // namespace sinq::inline SINQ_ABI

#if SINQ_HAS_BODIES(TRELLIS)
#include <sinq/kernels/trellis_rows.hpp>

namespace sinq::inline SINQ_ABI::detail {

template <>
SINQ_DECL void multiply_vector<TrellisView>(const TrellisView& view, const ScaledInput& in, RowRange rows,
                                            const ResultView& result, DotKind kind) {
  dispatch_dot(kind, [&](auto tag) { trellis_rows<decltype(tag)>(view, in, rows, result); });
}
template <>
SINQ_DECL void multiply_batch<TrellisView>(const TrellisView& view, const ScaledInput& in, RowRange rows,
                                           const ResultView& result, DotKind kind) {
  multiply_vector(view, in, rows, result, kind);
}

}  // namespace sinq::inline SINQ_ABI::detail
#endif
