#include <sinq/packing/unpack_codes.hpp>

#include "support/isa_list.hpp"
#include "support/quantized_layouts.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace {

using sinq::ColRange;
using sinq::Index;
using sinq::Layout;
using sinq::RowRange;

std::vector<std::uint8_t> unpack(const sinq::QuantizedMatrix& q, RowRange rows, ColRange cols, Index stride,
                                 sinq::Isa isa) {
  std::vector<std::uint8_t> out(static_cast<std::size_t>(rows.size() * stride), 0xee);
  sinq::dispatch(isa, [&](auto tag) {
    sinq::detail::unpack_codes<decltype(tag)>(q.layout(), q.view().code_regions(), rows, cols, out.data(), stride);
  });
  return out;
}

/// Every layout of codes: any rows, and columns from any multiple of 16 on, are those of the whole matrix, and nothing
/// is written behind the next multiple of 16.
TEST(UnpackCodes, PartsAreThoseOfTheWhole) {
  for (const auto& [name, layout] : sinq::test::every_layout()) {
    const sinq::QuantizedMatrix q = sinq::test::arbitrary_matrix(layout, 5);
    const Index stride = sinq::round_up(layout.cols, 16);
    const auto whole = unpack(q, {0, layout.rows}, {0, layout.cols}, stride, sinq::Isa::kPortable);
    for (const sinq::Isa isa : sinq::test::supported_isas()) {
      for (const Index row : {Index{0}, layout.rows / 2, layout.rows - 1}) {
        for (const Index rows : {Index{1}, layout.rows - row}) {
          for (Index col = 0; col < layout.cols; col += 16) {
            const ColRange cols{col, layout.cols};
            const Index written = sinq::round_up(cols.size(), 16);
            const auto part = unpack(q, {row, row + rows}, cols, written + 3, isa);
            for (Index r = 0; r < rows; ++r) {
              for (Index c = 0; c < cols.size(); ++c) {
                ASSERT_EQ(part[static_cast<std::size_t>(r * (written + 3) + c)],
                          whole[static_cast<std::size_t>((row + r) * stride + col + c)])
                    << name << " row " << row + r << " column " << col + c;
              }
              for (Index c = written; c < written + 3; ++c) {
                ASSERT_EQ(part[static_cast<std::size_t>(r * (written + 3) + c)], 0xee) << name;
              }
            }
          }
        }
      }
    }
  }
}

}  // namespace
