// Products of row-interleaved matrices.
#define SINQ_BODIES_MULTIPLY 1
#include <sinq/kernels/multiply.hpp>

namespace sinq::inline SINQ_ABI::detail {

template void multiply_vector<RepackedView>(const RepackedView&, const ScaledInput&, RowRange, const ResultView&,
                                            DotKind);
template void multiply_batch<RepackedView>(const RepackedView&, const ScaledInput&, RowRange, const ResultView&,
                                           DotKind);

}  // namespace sinq::inline SINQ_ABI::detail
