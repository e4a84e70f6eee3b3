#pragma once

#include <sinq/io/safetensors.hpp>
#include <sinq/matrix_view.hpp>

#include "llm/packed_matrix.hpp"

#include <cstdint>
#include <vector>

namespace llm {

/// Row `row` of a `view` with adjacent columns as floats.
void read_row(const sinq::MatrixView& view, Index row, float* out);

/// A `view` [rows, cols] with adjacent columns as float32 weights.
[[nodiscard]] PackedMatrix pack(const sinq::MatrixView& view);

/// A tensor of 32- or 64-bit integers as 32-bit ones. Throws kBadFile if it holds something else.
[[nodiscard]] std::vector<std::int32_t> load_integers(const sinq::io::SafetensorsFile& file,
                                                      const sinq::io::TensorInfo& info);

}  // namespace llm
