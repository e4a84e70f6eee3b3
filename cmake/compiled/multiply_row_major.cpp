// Products of row-major matrices.
#define SINQ_BODIES_MULTIPLY 1
#include <sinq/kernels/multiply.hpp>

namespace sinq::inline SINQ_ABI::detail {

template void multiply_vector<QuantizedView>(const QuantizedView&, const ScaledInput&, RowRange, const ResultView&,
                                             DotKind);
template void multiply_batch<QuantizedView>(const QuantizedView&, const ScaledInput&, RowRange, const ResultView&,
                                            DotKind);

}  // namespace sinq::inline SINQ_ABI::detail
