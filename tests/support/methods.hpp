#pragma once

#include <sinq/matrix_view.hpp>
#include <sinq/quantize.hpp>
#include <sinq/quantized_matrix.hpp>

#include "rounding.hpp"

#include <string>

namespace sinq::test {

enum class Balance { kSinkhorn, kIdentity };

/// Which semantics a method runs with.
enum class Semantics {
  kDefault,    ///< the library's defaults
  kUnguarded,  ///< defaults, with degenerate tiles balanced like any other
  kReference,  ///< `reference_compatible`
};

/// A method as values instead of types, so that tests can loop over them and the library is compiled once.
struct Method {
  Rounding rounding = Rounding::kRealUniform;
  int bits = 4;
  Balance balance = Balance::kSinkhorn;
  Index group_size = 64;
  Index tile_cols = 0;
  Tiling tiling = Tiling::kColumns;
  AuxFormat aux = AuxFormat::kF16;  ///< ignored under Semantics::kReference, which has f32
  Semantics semantics = Semantics::kDefault;
  RaggedTile ragged = RaggedTile::kKeep;
  float kurtosis_gate = 0.0F;
};

/// For SCOPED_TRACE.
std::string describe(const Method& method);

/// The library's `quantize`; `threads` > 1 runs it on a ThreadPool.
QuantizedMatrix quantize_with(const Method& method, const MatrixView& w, const QuantizeOptions& options = {},
                              Index threads = 1);
Index required_bytes_with(const Method& method, Index rows, Index cols);
QuantizedView quantize_into_with(const Method& method, const MatrixView& w, std::span<std::byte> out,
                                 const QuantizeOptions& options = {});

}  // namespace sinq::test
