#pragma once

#include <sinq/detail/map.hpp>
#include <sinq/error.hpp>
#include <sinq/io/printable.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace sinq::inline SINQ_ABI::io::detail {

/// The tensors of a model in one file or several, by name: what `Checkpoint` and `GgufModel` have in common. Move-only;
/// what it hands out dies with it.
template <class File, class Tensor>
class TensorFiles {
 public:
  TensorFiles(TensorFiles&&) = default;
  TensorFiles& operator=(TensorFiles&&) = default;
  TensorFiles(const TensorFiles&) = delete;
  TensorFiles& operator=(const TensorFiles&) = delete;

  /// All tensors: file by file, in the order that the model's class says.
  [[nodiscard]] const std::vector<Tensor>& tensors() const& noexcept { return tensors_; }
  const std::vector<Tensor>& tensors() && = delete;
  [[nodiscard]] const std::vector<File>& files() const& noexcept { return files_; }
  const std::vector<File>& files() && = delete;

  /// The tensor of that name, or null.
  [[nodiscard]] const Tensor* find(std::string_view tensor) const& noexcept {
    const auto at = by_name_.find(tensor);
    return at == by_name_.end() ? nullptr : at->second;
  }
  const Tensor* find(std::string_view tensor) && = delete;

  /// The tensor of that name. Throws Errc::kBadFile if there is none.
  [[nodiscard]] const Tensor& at(std::string_view tensor) const& {
    const Tensor* found = find(tensor);
    if (found == nullptr) {
      SINQ_THROW(Errc::kBadFile, sinq::detail::text(name_, ": there is no tensor ", detail::name_text(tensor)));
    }
    return *found;
  }
  const Tensor& at(std::string_view tensor) && = delete;

 protected:
  TensorFiles() = default;
  ~TensorFiles() = default;

  std::string name_;  ///< of the whole, as errors give it
  std::vector<File> files_;
  std::vector<Tensor> tensors_;
  sinq::detail::Map<std::string_view, const Tensor*> by_name_;
};

}  // namespace sinq::inline SINQ_ABI::io::detail
