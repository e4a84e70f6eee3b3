#pragma once

#include <sinq/fold.hpp>
#include <sinq/io/gguf_tensor.hpp>
#include <sinq/io/gguf_value.hpp>

#include "gguf/convert_options.hpp"
#include "gguf/importances.hpp"
#include "gguf/tensor_encoder.hpp"

#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace gguf {

/// A model as a GGUF file will hold it: everything but the bytes of tensors is known when it is made, these are made
/// one tensor after the other.
class Content {
 public:
  Content() = default;
  Content(const Content&) = delete;
  Content& operator=(const Content&) = delete;
  virtual ~Content() = default;

  [[nodiscard]] const sinq::io::GgufMetadata& metadata() const noexcept { return metadata_; }
  /// In the order of the file; without places.
  [[nodiscard]] const std::vector<sinq::io::GgufTensorInfo>& tensors() const noexcept { return tensors_; }
  /// Whether a mixture is to choose the type of a tensor; it has some type that holds its rows so far.
  [[nodiscard]] bool is_free(std::size_t tensor) const { return free_[tensor]; }
  void set_type(std::size_t tensor, GgufType type) { tensors_[tensor].type = type; }
  /// What a user should know: tensors that get another type than was asked for, for instance.
  [[nodiscard]] const std::vector<std::string>& notes() const noexcept { return notes_; }
  /// The files that are read, or the folder that they are in.
  [[nodiscard]] virtual std::vector<std::filesystem::path> inputs() const = 0;

  /// Finds the column scales, if they are to be folded. Before `with_matrix` and `write`. Throws kBadData for weights
  /// that are not finite.
  virtual void find_factors() = 0;

  /// Rows `rows` of `weights`, and what errors in the columns weigh: nothing if all weigh alike.
  using MatrixBody = std::function<void(const sinq::MatrixView& weights, sinq::RowRange rows,  //
                                        std::span<const float> importance)>;
  /// Calls `body` with matrix `index` of those that a tensor consists of, folded, as it is to become `type`. Errors
  /// name the tensor. From several threads, if need be.
  virtual void with_matrix(std::size_t tensor, Index index, GgufType type, const Importances& importances,
                           const MatrixBody& body) const = 0;

  /// The bytes of a tensor, in order. Throws kBadData, naming tensor, row and column, for numbers that are not finite
  /// or that its type cannot hold.
  virtual void write(std::size_t tensor, const Importances& importances, TensorEncoder& encoder,
                     const TensorEncoder::Sink& sink) const = 0;

 protected:
  sinq::io::GgufMetadata metadata_;
  std::vector<sinq::io::GgufTensorInfo> tensors_;
  std::vector<bool> free_;  ///< of the same positions
  std::vector<std::string> notes_;
};

/// The content of a Hugging Face folder, or of a GGUF file. Throws kUnsupported for what has no place in such a file or
/// is not known, kBadShape for rows that no type holds that is allowed, kBadConfig for blocks that may not be encoded
/// again; kBadFile, kIo.
[[nodiscard]] std::unique_ptr<Content> open_content(const ConvertOptions& options);

/// A vector under its factors (null: none): products in double, rounded once. Throws kBadData, naming the column, for
/// values that are not finite and products that float cannot hold.
[[nodiscard]] std::vector<float> folded_vector(std::vector<float> values, const sinq::fold::Factors* factors);

/// How products are rounded to floats that become `type`: those that are rounded again need the odd neighbour.
[[nodiscard]] constexpr sinq::fold::ProductRounding product_rounding(GgufType type) noexcept {
  const bool again = type == GgufType::kF16 || type == GgufType::kBf16;
  return again ? sinq::fold::ProductRounding::kOdd : sinq::fold::ProductRounding::kNearest;
}

}  // namespace gguf
