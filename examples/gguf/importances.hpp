#pragma once

#include <sinq/fold/factors.hpp>
#include <sinq/io/gguf_tensor.hpp>
#include <sinq/io/gguf_value.hpp>
#include <sinq/matrix_view.hpp>

#include "gguf/convert_options.hpp"
#include "gguf/imatrix.hpp"
#include "llm/input_stats.hpp"
#include "llm/model.hpp"
#include "llm/token_blocks.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace gguf {

/// What errors in the columns of a model's tensors weigh, from whatever source the options name.
class Importances {
 public:
  /// Opens what is needed. `tensors`: those that the file will have. Throws kIo, kBadFile, kBadData; kBadFile for an
  /// importance matrix of other tensors, or of other sizes.
  Importances(const ConvertOptions& options, const std::vector<sinq::io::GgufTensorInfo>& tensors);

  /// Runs the model, where that is what the options ask for. Before `of`.
  void measure();

  /// For rows `rows` of `stored`, matrix `index` of those that `tensor` consists of, under the factors that its columns
  /// are multiplied with (which may be null): importance [cols], or nothing if all columns weigh alike.
  [[nodiscard]] std::vector<float> of(const sinq::io::GgufTensorInfo& tensor, Index index,
                                      const sinq::MatrixView& stored, sinq::RowRange rows,
                                      const sinq::fold::Factors* factors) const;

  /// Adds where the importance comes from, as llama.cpp does.
  void describe(sinq::io::GgufMetadata& metadata) const;

  /// What a user should know: entries that are missing or zero.
  [[nodiscard]] const std::vector<std::string>& notes() const noexcept { return notes_; }

 private:
  void check_imatrix(const std::vector<sinq::io::GgufTensorInfo>& tensors);
  [[nodiscard]] std::span<const double> entry(const sinq::io::GgufTensorInfo& tensor, Index index) const;

  ConvertOptions options_;
  std::optional<Imatrix> imatrix_;
  llm::TokenBlocks text_;
  llm::InputStats inputs_;
  std::map<std::string, llm::LinearId> linears_;  ///< of inputs_, by the file's names
  std::vector<std::string> notes_;
};

}  // namespace gguf
