#pragma once

#include <sinq/detail/tile_loader.hpp>
#include <sinq/matrix_view.hpp>

#include <string>

namespace llm {

using sinq::Index;

/// What llama.cpp calls the tensor that Hugging Face calls `name`: "blk.3.ffn_up.weight" for
/// "model.layers.3.mlp.up_proj.weight". Throws kUnsupported for a tensor that Qwen3 and Llama do not have.
[[nodiscard]] std::string gguf_name(const std::string& name);

/// The other way round: what Hugging Face calls the tensor `name` of a GGUF file. Throws kUnsupported likewise.
[[nodiscard]] std::string hugging_face_name(const std::string& name);

/// Whether the rows of `name` (queries and keys, biases too) are reordered in files of architecture "llama".
[[nodiscard]] bool has_rope_order(const std::string& name);

/// In which order the rows of a query or key head stand.
enum class RopeOrder {
  kHalves,  ///< Hugging Face: row i is rotated with row i + head_dim / 2
  kPairs,   ///< GGUF files of architecture "llama": row 2 i is rotated with row 2 i + 1
};

/// Which row of the other order stands at `row` in `order`.
[[nodiscard]] constexpr Index other_row(RopeOrder order, Index row, Index head_dim) noexcept {
  const Index half = head_dim / 2, head = row / head_dim * head_dim, i = row % head_dim;
  return head + (order == RopeOrder::kPairs ? i % 2 * half + i / 2 : i % half * 2 + i / half);
}

/// A matrix of query or key heads with its rows in the other order. Must outlive its views.
class ReorderedHeads {
 public:
  /// `order`: what the views have, and `matrix` has not.
  ReorderedHeads(const sinq::MatrixView& matrix, RopeOrder order, Index head_dim)
      : matrix_(matrix), order_(order), head_dim_(head_dim) {}

  [[nodiscard]] sinq::MatrixView view() const noexcept {
    return {.rows = matrix_.rows,
            .cols = matrix_.cols,
            .data = this,
            .row_stride = matrix_.cols,
            .read_tile = &ReorderedHeads::read};
  }

 private:
  static void read(const void* self, Index row, Index col, Index rows, Index cols, float* out, Index stride) {
    const auto& heads = *static_cast<const ReorderedHeads*>(self);
    for (Index r = 0; r < rows; ++r, out += stride) {
      sinq::detail::read_rect(heads.matrix_, {other_row(heads.order_, row + r, heads.head_dim_), col, 1, cols}, out,
                              stride);
    }
  }

  sinq::MatrixView matrix_;
  RopeOrder order_;
  Index head_dim_;
};

}  // namespace llm
