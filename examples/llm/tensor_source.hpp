#pragma once

#include <sinq/matrix_view.hpp>
#include <sinq/quantized_matrix.hpp>

#include <optional>
#include <set>
#include <string>
#include <vector>

namespace llm {

using sinq::Index;

/// The tensors of a model by the names that Hugging Face gives them ("model.layers.0.mlp.up_proj.weight"), whatever
/// files they are in. What it hands out lives as long as the source does. Reading from several threads is safe.
class TensorSource {
 public:
  TensorSource() = default;
  TensorSource(const TensorSource&) = delete;
  TensorSource& operator=(const TensorSource&) = delete;
  virtual ~TensorSource() = default;

  /// The tensor `name` [size] as floats. Throws kBadFile, naming it, if it is missing or of another shape,
  /// kUnsupported if it cannot be read as floats, kBadData for numbers that are not finite.
  [[nodiscard]] virtual std::vector<float> vector(const std::string& name, Index size) const = 0;

  /// The tensor `name` [rows, cols] where it lies; what is not stored as floats is decoded when it is read.
  /// Throws as `vector`.
  [[nodiscard]] virtual sinq::MatrixView matrix(const std::string& name, Index rows, Index cols) const = 0;

  /// The tensor `name` as sinq's codes, if that is what is stored: then it is multiplied from them. Throws kBadFile if
  /// what is stored is damaged.
  [[nodiscard]] virtual std::optional<sinq::QuantizedView> quantized(const std::string& name) const = 0;

  /// All bits that are stored for the tensor `name`. Throws kBadFile if it is missing.
  [[nodiscard]] virtual double stored_bits(const std::string& name) const = 0;

  /// Tensors that are neither `known`, nor what stands for such a one (its codes, say), by the names that the file
  /// gives them.
  [[nodiscard]] virtual std::vector<std::string> others(const std::set<std::string>& known) const = 0;

  /// The type that the tensor `name` is stored in, as people call it: "BF16", "q4_k", "4-bit codes". Throws kBadFile if
  /// it is missing.
  [[nodiscard]] virtual std::string stored_type(const std::string& name) const = 0;

  /// Whether matrices are in few bits already: such a model is run as it is, and not quantized again.
  [[nodiscard]] virtual bool is_quantized() const = 0;

  /// Whether this is what a conversion came to (a GGUF file of any type), not what one starts from: floats, too, then
  /// run as they are unless something else is asked for.
  [[nodiscard]] virtual bool is_converted() const = 0;
};

}  // namespace llm
