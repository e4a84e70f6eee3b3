#include "llm/packed_weight.hpp"

#include <sinq/dequantize.hpp>
#include <sinq/io/finite.hpp>
#include <sinq/kernels/matmul.hpp>
#include <sinq/kernels/repack.hpp>
#include <sinq/kernels/trellis.hpp>

#include "llm/tensors.hpp"

#include <algorithm>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

namespace llm {
namespace {

sinq::RepackedView runnable(const sinq::RepackedMatrix& matrix) { return matrix.view(); }
sinq::TrellisView runnable(const sinq::QuantizedMatrix& matrix) { return sinq::TrellisView(matrix.view()); }

/// `Matrix`: RepackedMatrix, or QuantizedMatrix for a lane trellis, which runs as it is stored.
template <class Matrix>
class PackedWeight final : public Weight {
 public:
  PackedWeight(Matrix matrix, sinq::Precision activations) : matrix_(std::move(matrix)), activations_(activations) {}

  [[nodiscard]] Index rows() const noexcept override { return matrix_.rows(); }
  [[nodiscard]] Index cols() const noexcept override { return matrix_.cols(); }
  void multiply(const float* x, Index count, float* y) const override {
    constexpr Index kBatch = 64;           // prepared activations then stay in the cache while all rows pass
    thread_local sinq::ScaledInput input;  // scratch that grows once
    const auto matrix = runnable(matrix_);
    for (Index t = 0; t < count; t += kBatch) {
      const Index batch = std::min(kBatch, count - t);
      input.assign(matrix, sinq::Activations(x + t * cols(), batch, cols()), activations_);
      sinq::matmul(matrix, input, {0, rows()}, y + t * rows(), rows());
    }
  }

 private:
  Matrix matrix_;
  sinq::Precision activations_;
};

/// Of a whole matrix.
sinq::QuantizedMatrix copy_of(const sinq::QuantizedView& q) {
  sinq::QuantizedMatrix copy(q.layout());
  for (int i = 0; i < sinq::kRegionCount; ++i) {
    const auto region = static_cast<sinq::Region>(i);
    const std::span<std::byte> to = copy.region(region);
    if (!to.empty()) std::copy_n(q.region(region), to.size(), to.data());
  }
  return copy;
}

/// What codes are multiplied with; levels were checked when the file was opened.
void require_finite(const std::string& tensor, const sinq::QuantizedView& q) {
  const sinq::Layout& layout = q.layout();
  const auto require = [&](const std::vector<float>& values, const char* what, auto place_of) {
    if (const auto bad = sinq::io::find_nonfinite(values)) {
      const auto [row, col] = place_of(static_cast<Index>(bad->at));
      throw sinq::Error(sinq::Errc::kBadData,
                        sinq::detail::text("tensor ", sinq::io::detail::name_text(tensor), ": the ", what, " of row ",
                                           row, ", column ", col, " is ", bad->name));
    }
  };
  std::vector<float> of_rows(static_cast<std::size_t>(q.rows())), of_cols(static_cast<std::size_t>(q.cols()));
  for (Index g = 0; g < q.groups(); ++g) {
    const auto place_of = [&](Index at) { return std::pair(at, g * layout.group_size); };
    q.group_scales(g, {0, q.rows()}, of_rows.data());
    require(of_rows, "scale", place_of);
    if (layout.offset == sinq::OffsetKind::kShared) continue;
    q.zero_points(g, {0, q.rows()}, of_rows.data());
    require(of_rows, "zero point", place_of);
  }
  for (Index row = 0; row < q.rows(); row += layout.row_block) {
    q.col_scales(row, {0, q.cols()}, of_cols.data());
    require(of_cols, "column scale", [&](Index at) { return std::pair(row, at); });
  }
}

}  // namespace

std::shared_ptr<const Weight> weight_of(const std::string& tensor, const sinq::QuantizedView& q,
                                        sinq::Precision activations) {
  require_finite(tensor, q);
  if (sinq::can_repack(q.layout())) {
    return std::make_shared<PackedWeight<sinq::RepackedMatrix>>(sinq::repack(q), activations);
  }
  if (q.layout().quarter_bits != 0) {
    return std::make_shared<PackedWeight<sinq::QuantizedMatrix>>(copy_of(q), activations);
  }
  std::vector<float> weights(static_cast<std::size_t>(q.rows() * q.cols()));
  sinq::dequantize_into(q, weights);
  return std::make_shared<DenseWeight>(pack(tensor, sinq::MatrixView::row_major(weights.data(), q.rows(), q.cols())));
}

}  // namespace llm
