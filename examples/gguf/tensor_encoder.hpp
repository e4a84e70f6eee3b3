#pragma once

#include <sinq/io/gguf_tensor.hpp>
#include <sinq/matrix_view.hpp>
#include <sinq/types.hpp>

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace gguf {

using sinq::Index;

/// Writes rows of weights as GGUF tensors want them, on several threads and with a bounded piece in memory.
class TensorEncoder {
 public:
  /// Takes the next bytes of the tensor.
  using Sink = std::function<void(std::span<const std::byte>)>;

  explicit TensorEncoder(int threads) : threads_(threads) {}

  /// `matrix` as `type`, from the first row to the last; `importance` [cols] as for sinq::encode_row. The same bytes
  /// for every number of threads. Throws kBadData, naming row and column, for weights that are not finite or that the
  /// type cannot hold.
  void encode(const sinq::MatrixView& matrix, sinq::io::GgufType type, std::span<const float> importance,
              const Sink& sink);

 private:
  int threads_;
  std::vector<std::byte> piece_;
};

}  // namespace gguf
