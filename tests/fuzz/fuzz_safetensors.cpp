// A safetensors file in memory: opening it, and all that it then hands out.
#include <sinq/io/checkpoint.hpp>

#include "harness.hpp"

#include <algorithm>
#include <cstdlib>

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return expect_error_or_success(data, size, [](std::span<const std::byte> bytes) {
    const auto file = sinq::io::SafetensorsFile::from_memory(bytes, "input");
    unsigned sum = 0;
    for (const auto& tensor : file.tensors()) {
      for (const std::byte b : file.bytes(tensor)) sum += std::to_integer<unsigned>(b);
      if (&file.at(tensor.name) != &tensor) std::abort();
      const bool is_matrix = scalar_type(tensor.dtype) && tensor.shape.size() == 2 && !file.bytes(tensor).empty();
      if (!is_matrix) continue;
      const auto view = file.matrix_view(tensor);
      if (view.read_tile == nullptr) continue;
      float corner[4] = {};
      view.read_tile(view.data, 0, 0, std::min<sinq::Index>(view.rows, 2), std::min<sinq::Index>(view.cols, 2), corner,
                     2);
    }
    const auto checkpoint = sinq::io::Checkpoint::of_file(sinq::io::SafetensorsFile::from_memory(bytes, "input"));
    for (const auto& tensor : checkpoint.tensors()) {
      if (tensor.float8 == nullptr) continue;
      const auto view = tensor.matrix_view();
      float corner = 0.0F;
      view.read_tile(view.data, view.rows - 1, view.cols - 1, 1, 1, &corner, 1);
    }
    if (sum == ~0U) std::abort();  // so that nothing is optimized away; inputs are too small for it
  });
}
