#pragma once

#include <sinq/types.hpp>

namespace sinq::bench {

/// A weight matrix: out_features x in_features.
struct Shape {
  Index rows = 0;
  Index cols = 0;

  [[nodiscard]] constexpr Index weights() const noexcept { return rows * cols; }
  friend constexpr bool operator==(const Shape&, const Shape&) = default;
};

/// Layers of real models.
namespace shapes {

inline constexpr Shape kAttention{4096, 4096};  ///< Llama 3 8B: query and output projections
inline constexpr Shape kDown{5120, 17408};      ///< Qwen3 14B: MLP, down
inline constexpr Shape kUp{17408, 5120};        ///< Qwen3 14B: MLP, gate and up; a strip of 64 columns is 4.5 MB

}  // namespace shapes
}  // namespace sinq::bench
