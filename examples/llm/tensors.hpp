#pragma once

#include <sinq/io/safetensors.hpp>
#include <sinq/matrix_view.hpp>

#include "llm/packed_matrix.hpp"

#include <cstdint>
#include <string_view>
#include <vector>

namespace llm {

/// Row `row` of a `view` with adjacent columns as floats: how programs read weights. Throws kBadData, naming `tensor`,
/// row and column, for NaN, Inf and what is beyond float32.
void read_row(std::string_view tensor, const sinq::MatrixView& view, Index row, float* out);

/// Throws as `read_row` does at the first row that it refuses.
void require_finite(std::string_view tensor, const sinq::MatrixView& view);

/// A `view` [rows, cols] with adjacent columns as float32 weights. Throws as `read_row`.
[[nodiscard]] PackedMatrix pack(std::string_view tensor, const sinq::MatrixView& view);

/// A tensor of 32- or 64-bit integers as 32-bit ones. Throws kBadFile if it holds something else.
[[nodiscard]] std::vector<std::int32_t> load_integers(const sinq::io::SafetensorsFile& file,
                                                      const sinq::io::TensorInfo& info);

}  // namespace llm
