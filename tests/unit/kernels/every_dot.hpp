#pragma once

#include <sinq/kernels/repack.hpp>
#include <sinq/kernels/row_kernels.hpp>
#include <sinq/kernels/scaled_input.hpp>
#include <sinq/quantized_matrix.hpp>

#include <string_view>
#include <vector>

namespace sinq::test {

/// The kinds of byte dot products: more than the instruction sets, because some machines lack an instruction.
enum class DotKind { kPortable, kNeon, kNeonDot, kAvx2, kAvx512, kAvx512Vnni };

/// Those that this machine runs.
std::vector<DotKind> supported_dots();
std::string_view name(DotKind kind);

/// The kernels of one kind, compiled once for all tests.
void matvec_with(DotKind kind, const QuantizedView& w, const ScaledInput& x, RowRange rows,
                 const detail::ResultView& result);
void matvec_with(DotKind kind, const RepackedView& w, const ScaledInput& x, RowRange rows,
                 const detail::ResultView& result);
void matmul_with(DotKind kind, const QuantizedView& w, const ScaledInput& x, RowRange rows,
                 const detail::ResultView& result);
void matmul_with(DotKind kind, const RepackedView& w, const ScaledInput& x, RowRange rows,
                 const detail::ResultView& result);

}  // namespace sinq::test
