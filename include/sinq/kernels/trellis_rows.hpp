#pragma once

#include <sinq/kernels/row_kernels.hpp>
#include <sinq/kernels/trellis_matmul.hpp>
#include <sinq/kernels/trellis_matvec.hpp>

#include <algorithm>

namespace sinq::inline SINQ_ABI::detail {

/// Rows of a lane trellis times a batch: the kernel with `Tag`, which suits the activations, panel by panel.
template <class Tag, bool AreFloats>
void trellis_rows_with(const QuantizedView& view, const ScaledInput& in, RowRange rows, const ResultView& result) {
  const TrellisSource source(view, Dot<Tag>::kSignedZero);
  const Index shift = first_stored_row(view);
  constexpr Index kMaxBatch = TrellisMatmul<Tag>::kMaxBatch;
  alignas(64) float out[std::size_t{kMaxBatch * kTrellisRows}];
  for_each_piece<kTrellisRows>(view, in, rows, kTrellisRows, [&](Index panel, RowRange stored, Index plane) {
    const InputView x = in.view(plane);
    for (Index first = 0; first < in.batch(); first += kMaxBatch) {
      const Index count = std::min(in.batch() - first, kMaxBatch);
      if (in.batch() != 1) {
        TrellisMatmul<Tag>::template run<AreFloats>(source, panel, x, first, count, out);
      } else if constexpr (AreFloats) {
        TrellisMatvec<Tag>::template run<0>(source, panel, x, out);
      } else if (x.digits == 1) {
        TrellisMatvec<Tag>::template run<1>(source, panel, x, out);
      } else {
        TrellisMatvec<Tag>::template run<2>(source, panel, x, out);
      }
      for (Index b = 0; b < count; ++b) {
        result.put(first + b, stored.begin - shift, out + b * kTrellisRows + (stored.begin - panel * kTrellisRows),
                   stored.size());
      }
    }
  });
}

/// Rows of a lane trellis times a batch.
template <class Tag>
void trellis_rows(const QuantizedView& view, const ScaledInput& in, RowRange rows, const ResultView& result) {
  if (in.precision() == Precision::kFloat) {
    // Floats need no byte dot products, and no second copy of a kernel.
    trellis_rows_with<typename Dot<Tag>::SimdTag, true>(view, in, rows, result);
  } else {
    trellis_rows_with<Tag, false>(view, in, rows, result);
  }
}

}  // namespace sinq::inline SINQ_ABI::detail
