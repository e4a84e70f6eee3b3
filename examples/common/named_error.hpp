#pragma once

#include <sinq/error.hpp>
#include <sinq/io/plain_tensor.hpp>

#include <string>
#include <string_view>

namespace common {

/// Calls `action`; what the library says is wrong with a matrix is said of `tensor`: "tensor 'x': ...". If it is wrong
/// with the numbers, `require_numbers` is called first, which throws at the one to blame, naming row and column: looked
/// for then only, so that reading costs nothing. The operating system's complaints stay as they are.
template <class Action, class RequireNumbers>
auto with_tensor_name(std::string_view tensor, Action&& action, RequireNumbers&& require_numbers,
                      const std::string& file = {}) {
  try {
    return action();
  } catch (const sinq::Error& error) {
    if (error.code() == sinq::Errc::kIo) throw;
    if (error.code() == sinq::Errc::kBadData) require_numbers();
    throw sinq::Error(error.code(), sinq::detail::text(file, file.empty() ? "" : ": ", "tensor ",
                                                       sinq::io::detail::name_text(tensor), ": ", error.what()));
  }
}

/// The same of an `action` that reads no numbers.
template <class Action>
auto with_tensor_name(std::string_view tensor, Action&& action) {
  return with_tensor_name(tensor, action, [] {});
}

/// The same of an `action` that reads a tensor of a file as floats: "model.safetensors: tensor 'x': row 3, column 5 is
/// nan".
template <class Action>
auto with_tensor_name(const sinq::io::Checkpoint::Tensor& tensor, Action&& action) {
  return with_tensor_name(
      tensor.info.name, action, [&] { sinq::io::require_float32(tensor); }, tensor.file.name());
}

}  // namespace common
