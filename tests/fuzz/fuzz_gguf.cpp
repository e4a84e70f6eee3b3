// A GGUF file in memory: opening it, and all that it then hands out.
#include <sinq/io/gguf.hpp>

#include "harness.hpp"

#include <algorithm>
#include <cstdlib>
#include <vector>

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return expect_error_or_success(data, size, [](std::span<const std::byte> input) {
    // A copy on an address that files have when they are mapped, without room behind it.
    const std::vector<std::byte> bytes(input.begin(), input.end());
    const auto file = sinq::io::GgufFile::from_memory(bytes, "input");
    unsigned sum = 0;
    for (const auto& tensor : file.tensors()) {
      for (const std::byte b : file.bytes(tensor)) sum += std::to_integer<unsigned>(b);
      if (&file.at(tensor.name) != &tensor) std::abort();
      if (file.bytes(tensor).empty() || !sinq::io::is_readable(tensor.type)) continue;
      const auto view = file.rows_view(tensor);
      if (view.read_tile == nullptr) continue;
      // The first and the last weights, off the start of a block.
      float corner[4] = {};
      const sinq::Index rows = std::min<sinq::Index>(view.rows, 2), cols = std::min<sinq::Index>(view.cols, 2);
      view.read_tile(view.data, 0, 0, rows, cols, corner, 2);
      view.read_tile(view.data, view.rows - rows, view.cols - cols, rows, cols, corner, 2);
    }
    for (const auto& entry : file.metadata().entries()) {
      if (file.metadata().find(entry.key) != &entry.value) std::abort();
      static_cast<void>(sinq::io::detail::type_text(entry.value));
    }
    [[maybe_unused]] static volatile unsigned seen = 0;
    seen = sum;
  });
}
