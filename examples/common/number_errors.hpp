#pragma once

#include <sinq/error.hpp>
#include <sinq/io/plain_tensor.hpp>

namespace common {

/// Calls `action`, which reads `tensor` as floats. If it fails for what it read, says which number of the file is to
/// blame: NaN, Inf, or a double beyond float32. Looked for then only, so that reading costs nothing.
template <class Action>
auto naming_bad_numbers(const sinq::io::Checkpoint::Tensor& tensor, Action&& action) {
  try {
    return action();
  } catch (const sinq::Error& error) {
    if (error.code() == sinq::Errc::kBadData) sinq::io::require_float32(tensor);
    throw;
  }
}

}  // namespace common
