#pragma once

#include <sinq/detail/tile_loader.hpp>
#include <sinq/fold/edge.hpp>

#include <functional>

namespace sinq::inline SINQ_ABI::fold {

/// Finds the stored matrix of a tensor's name. It stays where it is while scales are computed.
using MatrixLookup = std::function<MatrixView(const std::string& tensor)>;

namespace detail {

/// The consumers of an edge one above the other, as a matrix [rows, channels] under the factors found so far. Where
/// several columns read a channel, their columns stand one above the other too.
class ConsumerStack {
 public:
  ConsumerStack(const Edge& edge, const FactorMap& factors, const MatrixLookup& lookup) {
    for (const Consumer& consumer : edge.consumers) {
      if (consumer.say == Say::kNone) continue;
      const MatrixView matrix = lookup(consumer.tensor);
      for (Index copy = 0; copy < consumer.repeat; ++copy) {
        parts_.push_back({matrix, &consumer, factors.find(consumer.tensor), copy, rows_});
        rows_ += matrix.rows;
      }
    }
  }

  [[nodiscard]] Index rows() const noexcept { return rows_; }

  /// Channels [channels) of all rows to `out` [rows, stride].
  void read(ColRange channels, float* out, Index stride) const {
    for (const Part& part : parts_) {
      float* first = out + part.first_row * stride;
      for (Index c = channels.begin; c < channels.end;) {
        const Index block = part.consumer->block;
        const Index end = block == 0 ? channels.end : std::min(channels.end, (c / block + 1) * block);
        const Index column = part.consumer->column(c, part.copy);
        float* run = first + (c - channels.begin);
        sinq::detail::read_rect(part.matrix, {0, column, part.matrix.rows, end - c}, run, stride);
        if (part.factors != nullptr) scale(*part.factors, part.matrix.rows, {column, column + end - c}, run, stride);
        c = end;
      }
    }
  }

 private:
  struct Part {
    MatrixView matrix;
    const Consumer* consumer;
    const Factors* factors;
    Index copy;
    Index first_row;
  };

  static void scale(const Factors& factors, Index rows, ColRange columns, float* values, Index stride) {
    for (Index r = 0; r < rows; ++r, values += stride) {
      const double row = factors.rows.empty() ? 1.0 : factors.rows[static_cast<std::size_t>(r)];
      for (Index c = 0; c < columns.size(); ++c) {
        const double col = factors.cols.empty() ? 1.0 : factors.cols[static_cast<std::size_t>(columns.begin + c)];
        values[c] = static_cast<float>(static_cast<double>(values[c]) * (row * col));
      }
    }
  }

  std::vector<Part> parts_;
  Index rows_ = 0;
};

}  // namespace detail
}  // namespace sinq::inline SINQ_ABI::fold
