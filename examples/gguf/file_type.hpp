#pragma once

#include <sinq/io/gguf_tensor.hpp>

#include <cstdint>

namespace gguf {

/// general.quantization_version: how ggml's block formats lie in memory.
inline constexpr std::uint32_t kQuantizationVersion = 2;

/// general.file_type: llama.cpp's name for a mixture of types, of which `type` is that of most matrices; the nearest
/// one. It is shown and no more.
[[nodiscard]] constexpr std::uint32_t file_type(sinq::io::GgufType type) noexcept {
  using sinq::io::GgufType;
  switch (type) {
    case GgufType::kF16:
      return 1;
    case GgufType::kQ4_0:
      return 2;
    case GgufType::kQ4_1:
      return 3;
    case GgufType::kQ8_0:
      return 7;
    case GgufType::kQ5_0:
      return 8;
    case GgufType::kQ5_1:
      return 9;
    case GgufType::kQ2K:
      return 10;
    case GgufType::kQ3K:
      return 11;
    case GgufType::kQ4K:
      return 14;
    case GgufType::kQ5K:
      return 16;
    case GgufType::kQ6K:
      return 18;
    case GgufType::kIq4Nl:
      return 25;
    case GgufType::kIq4Xs:
      return 30;
    case GgufType::kBf16:
      return 32;
    default:
      return 0;  // f32
  }
}

}  // namespace gguf
