#pragma once

#include <sinq/fold/scales.hpp>
#include <sinq/io/gguf_tensor.hpp>

#include "gguf/llama_mixtures.hpp"
#include "gguf/tensor_types.hpp"

#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace gguf {

/// What an error in a column of a matrix is said to weigh when blocks are fitted.
enum class Importance : std::uint8_t {
  kNone,         ///< all columns alike
  kSinkhorn,     ///< by the matrix alone: columns that Sinkhorn finds small have large inputs
  kActivations,  ///< mean squares of the inputs while the model reads a text
  kImatrix,      ///< the same, as llama.cpp measured them
};

/// Tensors whose names (those of the file) fit a glob pattern have this type.
struct TypeOverride {
  std::string pattern;
  GgufType type{};
};

/// What a file with a type of its own for each tensor may take. One of the first three is set.
struct MixtureOptions {
  const LlamaMixture* like = nullptr;   ///< as many bytes as llama.cpp's own file of that mixture
  double max_bits_per_weight = 0.0;     ///< over all tensors that are quantized
  std::uint64_t max_bytes = 0;          ///< of all files
  std::filesystem::path sensitivity{};  ///< what `sinq-lm sensitivity` wrote; empty: defaults by kind and depth
};

/// How a model becomes a GGUF file.
struct ConvertOptions {
  std::filesystem::path model{};         ///< Hugging Face folder, or GGUF file
  std::string name{};                    ///< general.name; empty: the folder's, or what the file has
  GgufType type = GgufType::kQ4_0;       ///< of matrices, unless `mixture` chooses
  std::optional<GgufType> embeddings{};  ///< of embeddings and head; none: see table_type, or `mixture` chooses
  std::vector<TypeOverride> type_of{};   ///< before all of these; the last one that fits counts
  std::optional<MixtureOptions> mixture{};
  Fallback fallback{};      ///< for rows that are no whole blocks of these
  bool requantize = false;  ///< blocks of GGUF files may be decoded and encoded again, which loses
  std::uint64_t max_shard_bytes = std::numeric_limits<std::uint64_t>::max();  ///< of the tensors in a file
  std::optional<sinq::fold::ScaleOptions> fold{};                             ///< column scales that are folded first
  Importance importance = Importance::kNone;
  std::filesystem::path imatrix{};      ///< file, for kImatrix
  std::filesystem::path calibration{};  ///< text, for kActivations
  Index calibration_context = 512;      ///< tokens per block of that text
  Index calibration_blocks = 64;        ///< read at most; 0: all
  int threads = 0;                      ///< 0: all

  /// The type of embeddings and head: readers look rows up in them, and f16 costs nothing there.
  [[nodiscard]] GgufType table_type() const noexcept {
    const bool is_float = type == GgufType::kF32 || type == GgufType::kBf16;
    return embeddings.value_or(is_float ? type : GgufType::kF16);
  }
};

}  // namespace gguf
