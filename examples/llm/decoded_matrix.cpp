#include "llm/decoded_matrix.hpp"

#include <sinq/dequantize.hpp>

#include <algorithm>
#include <vector>

namespace llm {
namespace {

using sinq::Index;

/// `MatrixView::ReadTile`: whole rows are decoded, as their codes lie.
void read_tile(const void* self, Index row, Index col, Index rows, Index cols, float* out, Index out_stride) {
  const sinq::QuantizedView& codes = static_cast<const DecodedMatrix*>(self)->codes();
  std::vector<float> decoded(static_cast<std::size_t>(codes.cols()));
  for (Index r = 0; r < rows; ++r) {
    sinq::dequantize_rows(codes, {row + r, row + r + 1}, decoded);
    std::copy_n(decoded.data() + col, cols, out + r * out_stride);
  }
}

}  // namespace

sinq::MatrixView DecodedMatrix::view() const noexcept {
  sinq::MatrixView view;
  view.rows = codes_.rows();
  view.cols = codes_.cols();
  view.data = this;
  view.read_tile = &read_tile;
  return view;
}

}  // namespace llm
