#pragma once

#include <sinq/block_formats/block_format.hpp>

#include <initializer_list>
#include <utility>
#include <vector>

namespace sinq::test {

/// One block written byte by byte.
class HandMadeBlock {
 public:
  /// All bytes `fill`.
  explicit HandMadeBlock(BlockFormat format, int fill = 0)
      : format_(format), bytes_(static_cast<std::size_t>(block_bytes(format)), static_cast<std::byte>(fill)) {}

  HandMadeBlock& put(std::size_t at, std::initializer_list<int> values) {
    for (const int value : values) bytes_.at(at++) = static_cast<std::byte>(value);
    return *this;
  }
  HandMadeBlock& fill(std::size_t begin, std::size_t end, int value) {
    for (; begin < end; ++begin) bytes_.at(begin) = static_cast<std::byte>(value);
    return *this;
  }
  [[nodiscard]] std::vector<float> decoded() const {
    std::vector<float> out(static_cast<std::size_t>(block_size(format_)));
    decode_row(format_, bytes_, out.data());
    return out;
  }

 private:
  BlockFormat format_;
  std::vector<std::byte> bytes_;
};

/// A block's weights: `rest`, but for those named.
inline std::vector<float> weights(BlockFormat format, float rest,
                                  std::initializer_list<std::pair<std::size_t, float>> named) {
  std::vector<float> out(static_cast<std::size_t>(block_size(format)), rest);
  for (const auto& [at, value] : named) out.at(at) = value;
  return out;
}

}  // namespace sinq::test
