#pragma once

#include <sinq/io/gguf_tensor.hpp>
#include <sinq/io/gguf_value.hpp>

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace gguf {

/// A mixture of types that llama.cpp's llama-quantize makes by rules of its own.
struct LlamaMixture {
  std::string_view name;      ///< as its users type it, e.g. "q4_k_m"
  std::uint32_t file_type;    ///< general.file_type (enum llama_ftype)
  sinq::io::GgufType type{};  ///< of all tensors that no rule names
};

/// From small to large.
inline constexpr std::array<LlamaMixture, 14> kLlamaMixtures{{{"q2_k_s", 21, sinq::io::GgufType::kQ2K},
                                                              {"q2_k", 10, sinq::io::GgufType::kQ2K},
                                                              {"iq3_xs", 22, sinq::io::GgufType::kIq3S},
                                                              {"iq3_s", 26, sinq::io::GgufType::kIq3S},
                                                              {"q3_k_s", 11, sinq::io::GgufType::kQ3K},
                                                              {"iq3_m", 27, sinq::io::GgufType::kIq3S},
                                                              {"q3_k_m", 12, sinq::io::GgufType::kQ3K},
                                                              {"q3_k_l", 13, sinq::io::GgufType::kQ3K},
                                                              {"iq4_xs", 30, sinq::io::GgufType::kIq4Xs},
                                                              {"q4_k_s", 14, sinq::io::GgufType::kQ4K},
                                                              {"q4_k_m", 15, sinq::io::GgufType::kQ4K},
                                                              {"q5_k_s", 16, sinq::io::GgufType::kQ5K},
                                                              {"q5_k_m", 17, sinq::io::GgufType::kQ5K},
                                                              {"q6_k", 18, sinq::io::GgufType::kQ6K}}};

/// The mixture of that name, or null. As in llama-quantize "q3_k", "q4_k" and "q5_k" are the medium ones.
[[nodiscard]] const LlamaMixture* llama_mixture(std::string_view name) noexcept;

/// The type that each of `tensors` has in llama.cpp's own file of that mixture, made without an importance matrix
/// (src/llama-quant.cpp at 007dbbf, September 2026; the exceptions for Falcon are left out): what its size is told
/// from. Tensors that are not quantized keep their types. `metadata`: of the model.
[[nodiscard]] std::vector<sinq::io::GgufType> llama_types(const LlamaMixture& mixture,
                                                          const sinq::io::GgufMetadata& metadata,
                                                          const std::vector<sinq::io::GgufTensorInfo>& tensors);

}  // namespace gguf
