#include "gguf/type_error.hpp"

#include <sinq/detail/tile_loader.hpp>
#include <sinq/io/gguf.hpp>

#include "gguf/tensor_encoder.hpp"

#include <algorithm>

namespace gguf {
namespace {

constexpr Index kSampledWeights = Index{1} << 17, kSampledRows = 16, kSampledMatrices = 8;

/// Item `i` of `count` that lie evenly over `all`.
Index spread(Index i, Index count, Index all) { return (2 * i + 1) * all / (2 * count); }

/// Sums of importance * weight^2 and importance * error^2 over rows.
class ErrorSums {
 public:
  void add(GgufType type, Index r, std::span<const float> row, std::span<const float> importance) {
    const Index blocks = static_cast<Index>(row.size()) / block_size(type);
    bytes_.resize(static_cast<std::size_t>(blocks * block_bytes(type)));
    decoded_.resize(row.size());
    encode_row_as(type, r, row, importance, bytes_);
    decode(type);
    for (std::size_t c = 0; c < row.size(); ++c) {
      const double weight = importance.empty() ? 1.0 : static_cast<double>(importance[c]);
      const double x = static_cast<double>(row[c]), d = static_cast<double>(decoded_[c]) - x;
      all_ += weight * x * x;
      lost_ += weight * d * d;
    }
  }
  [[nodiscard]] double relative() const { return all_ > 0.0 ? lost_ / all_ : 0.0; }

 private:
  void decode(GgufType type) {
    if (const auto format = sinq::io::block_format(type)) {
      return sinq::decode_row(*format, bytes_, decoded_.data());
    }
    const Index cols = static_cast<Index>(decoded_.size());
    const auto stored = sinq::MatrixView::row_major(bytes_.data(), *scalar_type(type), 1, cols);
    sinq::detail::read_rect(stored, {0, 0, 1, cols}, decoded_.data(), cols);
  }

  double all_ = 0.0, lost_ = 0.0;
  std::vector<std::byte> bytes_;
  std::vector<float> decoded_;
};

}  // namespace

std::vector<double> type_errors(const Content& content, std::size_t tensor, const Importances& importances,
                                std::span<const GgufType> types) {
  const Index all = matrix_count(content.tensors()[tensor].shape);
  const Index matrices = std::min(all, kSampledMatrices);
  std::vector<ErrorSums> sums(types.size());
  std::vector<float> row;
  for (Index m = 0; m < matrices; ++m) {
    // Types with blocks weigh columns alike.
    content.with_matrix(tensor, spread(m, matrices, all), GgufType::kQ8_0, importances,
                        [&](const sinq::MatrixView& weights, sinq::RowRange range, std::span<const float> importance) {
                          const Index rows = range.end - range.begin;
                          const Index wanted = kSampledWeights / matrices / std::max<Index>(weights.cols, 1);
                          const Index count = std::min(rows, std::max(wanted, kSampledRows));
                          row.resize(static_cast<std::size_t>(weights.cols));
                          for (Index i = 0; i < count; ++i) {
                            const Index r = range.begin + spread(i, count, rows);
                            sinq::detail::read_rect(weights, {r, 0, 1, weights.cols}, row.data(), weights.cols);
                            for (std::size_t t = 0; t < types.size(); ++t) sums[t].add(types[t], r, row, importance);
                          }
                        });
  }
  std::vector<double> out;
  for (const ErrorSums& sum : sums) out.push_back(sum.relative());
  return out;
}

}  // namespace gguf
