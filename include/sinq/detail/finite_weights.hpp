#pragma once

#include <sinq/detail/kurtosis.hpp>
#include <sinq/error.hpp>
#include <sinq/finite.hpp>

#include <string_view>

namespace sinq::inline SINQ_ABI::detail {

/// Throws Errc::kBadData, in the name of `who`, at the first weight that is NaN, Inf or beyond float32.
[[gnu::cold]] inline void require_finite_weights(std::string_view who, const MatrixView& w, InputRounding rounding) {
  for_each_rows(w, rounding, [&](Index first, Index rows, const float* x) {
    const Index i = first_not_finite(x, rows * w.cols);
    if (i == rows * w.cols) return;
    SINQ_THROW(Errc::kBadData, text(who, ": weight [", first + i / w.cols, ", ", i % w.cols, "] is ", x[i],
                                    "; every weight must be finite in float32"));
  });
}

}  // namespace sinq::inline SINQ_ABI::detail
