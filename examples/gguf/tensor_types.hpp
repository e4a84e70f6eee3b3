#pragma once

#include <sinq/io/gguf_tensor.hpp>
#include <sinq/types.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gguf {

using sinq::Index;
using sinq::io::GgufType;

/// What quantization makes of a tensor.
enum class TensorRole : std::uint8_t {
  kKept,    ///< nothing: norms, biases, positions, routers, and others that are small or delicate
  kMatrix,  ///< a matrix, or several of them: experts
  kTable,   ///< embeddings and head
};

/// The role of a tensor in a file of any architecture, from its name and its shape, row-major. As llama.cpp decides
/// (src/llama-quant.cpp), so that its readers find what they expect.
[[nodiscard]] TensorRole role_of(std::string_view name, std::span<const Index> shape);

/// Matrices that a tensor consists of: one, or its experts.
[[nodiscard]] constexpr Index matrix_count(std::span<const Index> shape) noexcept {
  Index out = 1;
  for (std::size_t i = 0; i + 2 < shape.size(); ++i) out *= shape[i];
  return out;
}

/// `wanted`, or what llama.cpp takes where rows are no whole blocks of it.
[[nodiscard]] GgufType llama_fallback(GgufType wanted, Index cols) noexcept;

/// What becomes of rows that are no whole blocks of the type that was asked for.
struct Fallback {
  bool is_allowed = true;
  std::optional<GgufType> type{};  ///< none: what llama.cpp takes, a somewhat larger type with blocks of 32, else f16
};

/// Chooses types that fit the rows of tensors, and knows afterwards where they are not what was asked for.
class RowTypes {
 public:
  explicit RowTypes(Fallback fallback) : fallback_(fallback) {}

  /// `wanted`, or what takes its place. Throws kBadShape, naming the tensor, if nothing may.
  GgufType choose(const std::string& tensor, GgufType wanted, Index cols);

  /// A sentence for each pair of types.
  [[nodiscard]] std::vector<std::string> notes() const;

 private:
  struct Use {
    int count = 0;
    std::string first;  ///< tensor
    Index cols = 0;
  };
  Fallback fallback_;
  std::map<std::pair<GgufType, GgufType>, Use> uses_;
};

}  // namespace gguf
