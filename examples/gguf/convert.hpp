#pragma once

#include <sinq/fold.hpp>
#include <sinq/io/gguf_writer.hpp>

#include "llm/model_config.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace gguf {

using llm::Index;

/// What an error in a column of a matrix is said to weigh when blocks are fitted.
enum class Importance : std::uint8_t {
  kNone,         ///< all columns alike
  kSinkhorn,     ///< by the matrix alone: columns that Sinkhorn finds small have large inputs
  kActivations,  ///< mean squares of the inputs while the model reads a text
};

/// How a model becomes a GGUF file.
struct ConvertOptions {
  std::filesystem::path model{};                             ///< Hugging Face folder
  std::string name{};                                        ///< general.name; empty: the folder's
  sinq::io::GgufType type = sinq::io::GgufType::kQ4_0;       ///< of the blocks' matrices
  sinq::io::GgufType embeddings = sinq::io::GgufType::kF16;  ///< of embeddings and head
  std::optional<sinq::io::GgufType> fallback{};    ///< of matrices whose rows are no whole blocks of the above
  std::optional<sinq::fold::ScaleOptions> fold{};  ///< column scales that are folded first
  Importance importance = Importance::kNone;
  std::filesystem::path calibration{};  ///< text, for kActivations
  Index calibration_context = 512;      ///< tokens per block of that text
  Index calibration_blocks = 64;        ///< read at most; 0: all
  int threads = 0;                      ///< 0: all
};

/// A model on its way into a GGUF file. Everything is checked, and the file's size known, before any weight is read.
class Conversion {
 public:
  /// Throws kUnsupported for models, tokenizers and tensors that have no place in such a file, kBadShape for rows that
  /// are no whole blocks (naming the tensor) unless there is a fallback, kBadFile, kIo.
  explicit Conversion(ConvertOptions options);
  ~Conversion();
  Conversion(Conversion&&) noexcept;
  Conversion& operator=(Conversion&&) = delete;

  [[nodiscard]] const sinq::io::GgufPlan& plan() const noexcept;

  /// Called after each tensor.
  using Step = std::function<void()>;
  /// Writes the file, whole or not at all, a few rows at a time. Once. Throws kIo, and kBadData, naming tensor, row and
  /// column, for numbers of any tensor that are not finite or that its type cannot hold.
  void write(const std::filesystem::path& target, const Step& step = {});

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace gguf
