#pragma once

#include <sinq/io/gguf_model.hpp>
#include <sinq/matrix_view.hpp>
#include <sinq/types.hpp>

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace gguf {

using sinq::Index;

/// Row `r` of a matrix as `type`; `importance` [cols] as for sinq::encode_row. Throws kBadData, naming row and column,
/// for weights that are not finite or that the type cannot hold.
void encode_row_as(sinq::io::GgufType type, Index r, std::span<const float> row, std::span<const float> importance,
                   std::span<std::byte> out);

/// Writes rows of weights as GGUF tensors want them, on several threads and with a bounded piece in memory.
class TensorEncoder {
 public:
  /// Takes the next bytes of the tensor.
  using Sink = std::function<void(std::span<const std::byte>)>;

  explicit TensorEncoder(int threads) : threads_(threads) {}

  /// Rows `rows` of `matrix` as `type`, from the first to the last; `importance` [cols] as for sinq::encode_row. The
  /// same bytes for every number of threads. Throws kBadData, naming row and column, for weights that are not finite or
  /// that the type cannot hold.
  void encode(const sinq::MatrixView& matrix, sinq::RowRange rows, sinq::io::GgufType type,
              std::span<const float> importance, const Sink& sink);

  /// A tensor as it is stored. Throws kBadData, naming row and column, for numbers that are not finite, as far as they
  /// can be read.
  void copy(const sinq::io::GgufModel::Tensor& tensor, const Sink& sink);

 private:
  /// Calls body(row, its floats) for rows of a piece, on all threads.
  template <class Body>
  void for_each_row(const sinq::MatrixView& matrix, sinq::RowRange rows, const Body& body);

  int threads_;
  std::vector<std::byte> piece_;
  std::vector<std::vector<float>> rows_;  ///< of each thread
};

}  // namespace gguf
