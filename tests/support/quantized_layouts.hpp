#pragma once

#include <sinq/quantized_matrix.hpp>

#include "support/generators.hpp"

#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace sinq::test {

/// One layout for every way in which a region can be there, be absent or have another shape.
inline std::vector<std::pair<std::string, Layout>> every_layout() {
  std::vector<std::pair<std::string, Layout>> out;
  for (int bits = 1; bits <= 8; ++bits) {
    out.push_back({"bits" + std::to_string(bits), Layout{.rows = 5, .cols = 21, .bits = bits, .group_size = 8}});
  }
  out.push_back({"nf4", Layout{.rows = 3, .cols = 16, .level_count = 16, .offset = OffsetKind::kShared}});
  out.push_back({"learned", Layout{.rows = 3, .cols = 16, .bits = 3, .level_count = 8}});
  out.push_back({"shared", Layout{.rows = 3, .cols = 16, .offset = OffsetKind::kShared, .shared_zero_point = 7.5F}});
  out.push_back({"f32", Layout{.rows = 3, .cols = 16, .aux = AuxFormat::kF32}});
  out.push_back({"u8", Layout{.rows = 67, .cols = 16, .group_size = 8, .aux = AuxFormat::kU8}});
  out.push_back({"u6", Layout{.rows = 67, .cols = 16, .group_size = 8, .aux = AuxFormat::kU6}});
  out.push_back({"squares", Layout{.rows = 20, .cols = 24, .group_size = 8, .row_block = 8}});
  out.push_back({"plain", Layout{.rows = 4, .cols = 9, .col_scale = ColScaleKind::kNone}});
  out.push_back({"wide", Layout{.rows = 1, .cols = 3, .group_size = 1024, .matrix_scale = 0x1p-140F}});
  // Two panels; columns beside whole blocks; one block. (The fuzz harness changes every byte: they are small.)
  const auto trellis = [](Index rows, Index cols, int quarter_bits, AuxFormat aux) {
    return Layout{.rows = rows,
                  .cols = cols,
                  .bits = 0,
                  .quarter_bits = quarter_bits,
                  .group_size = 16,
                  .level_count = 48,
                  .offset = OffsetKind::kShared,
                  .aux = aux};
  };
  out.push_back({"trellis6", trellis(130, 17, 6, AuxFormat::kU6)});
  out.push_back({"trellis9", trellis(20, 35, 9, AuxFormat::kF16)});
  out.push_back({"trellis18", trellis(5, 16, 18, AuxFormat::kU8)});
  for (auto& [name, layout] : out) {
    if (layout.row_block == 0) layout.row_block = layout.rows;
  }
  return out;
}

/// A matrix of that layout with arbitrary bytes in every region but the levels, which are levels.
inline QuantizedMatrix arbitrary_matrix(const Layout& layout, std::uint64_t seed) {
  QuantizedMatrix q(layout);
  Random random(seed);
  for (int i = 0; i < kRegionCount; ++i) {
    for (std::byte& b : q.region(static_cast<Region>(i))) b = static_cast<std::byte>(random.between(0, 255));
  }
  const auto levels = q.region(Region::kLevels);
  if (detail::level_type(layout) == detail::LevelType::kF32) {
    for (std::size_t i = 0; i < levels.size(); i += sizeof(float)) {
      const float level = static_cast<float>(random.gaussian());
      std::memcpy(levels.data() + i, &level, sizeof level);
    }
  } else {
    // Sums of three fit a byte.
    constexpr int kMost = 42;
    for (std::byte& b : levels) b = static_cast<std::byte>(random.between(-kMost, kMost));
  }
  return q;
}

}  // namespace sinq::test
