#pragma once

#include <sinq/error.hpp>
#include <sinq/io/tensor_info.hpp>

#include <string>
#include <string_view>

namespace common {

/// Calls `action`; what the library says is wrong with a matrix is said of `tensor`: "tensor 'x': weight [1, 2] is
/// nan". The operating system's complaints stay as they are.
template <class Action>
auto with_tensor_name(std::string_view tensor, Action&& action) {
  try {
    return action();
  } catch (const sinq::Error& error) {
    if (error.code() == sinq::Errc::kIo) throw;
    throw sinq::Error(error.code(), "tensor " + sinq::io::detail::name_text(tensor) + ": " + error.what());
  }
}

}  // namespace common
