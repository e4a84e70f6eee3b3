#pragma once

#include <sinq/io/checkpoint.hpp>

#include <string>
#include <vector>

namespace llm {

using sinq::Index;

/// The float tensor `name` [rows, cols] where it lies in the files. Throws kBadFile, naming the tensor, if it is
/// missing or of another shape; kUnsupported if it is not of floats.
[[nodiscard]] sinq::MatrixView stored_matrix(const sinq::io::Checkpoint& files, const std::string& name, Index rows,
                                             Index cols);

/// Row `row` of a row-major `view` as floats.
void read_row(const sinq::MatrixView& view, Index row, float* out);

/// The float tensor `name` [size] as floats. Throws as `stored_matrix`.
[[nodiscard]] std::vector<float> load_vector(const sinq::io::Checkpoint& files, const std::string& name, Index size);

/// A tensor of 32- or 64-bit integers as 32-bit ones. Throws kBadFile if it holds something else.
[[nodiscard]] std::vector<std::int32_t> load_integers(const sinq::io::SafetensorsFile& file,
                                                      const sinq::io::TensorInfo& info);

}  // namespace llm
