#pragma once

#include "gguf/convert_options.hpp"
#include "gguf/tensor_types.hpp"

#include <optional>
#include <string>
#include <vector>

namespace gguf {

/// Says which type each tensor gets, from what the options ask for.
class TypeRules {
 public:
  /// `options` outlive this.
  explicit TypeRules(const ConvertOptions& options);

  struct Choice {
    GgufType type{};
    bool is_free = false;  ///< a mixture is to choose it: `type` is a small one that holds the rows
  };
  /// For a tensor of the file that is called `source` where it comes from, and is stored there as `blocks`, if it is.
  /// Throws kBadShape, naming the source, if no type that is allowed holds its rows.
  [[nodiscard]] Choice choose(const std::string& tensor, const std::string& source, TensorRole role, Index cols,
                              std::optional<GgufType> blocks = {});

  /// After all tensors. Throws kBadConfig for a pattern that fits none of them.
  void require_use() const;
  /// A sentence for each pair of types.
  [[nodiscard]] std::vector<std::string> notes() const { return rows_.notes(); }

 private:
  const ConvertOptions& options_;
  RowTypes rows_;
  std::vector<bool> used_;  ///< patterns
};

}  // namespace gguf
