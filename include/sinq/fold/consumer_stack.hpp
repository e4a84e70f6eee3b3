#pragma once

#include <sinq/detail/tile_loader.hpp>
#include <sinq/error.hpp>
#include <sinq/finite.hpp>
#include <sinq/fold/edge.hpp>
#include <sinq/fold/factors.hpp>
#include <sinq/io/printable.hpp>

#include <functional>
#include <string>
#include <vector>

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

  /// Channels [channels) of all rows to `out` [rows, stride]. Throws Errc::kBadData, naming tensor, row and column, for
  /// what is not finite in float32.
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
        require_finite(part, {column, column + end - c}, run, stride);
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

  static void require_finite(const Part& part, ColRange columns, const float* values, Index stride) {
    for (Index r = 0; r < part.matrix.rows; ++r, values += stride) {
      for (Index c = 0; c < columns.size(); ++c) {
        if (is_finite(values[c])) continue;
        float stored = 0.0F;
        sinq::detail::read_rect(part.matrix, {r, columns.begin + c, 1, 1}, &stored, 1);
        SINQ_THROW(Errc::kBadData, sinq::detail::text("fold: tensor ", io::detail::name_text(part.consumer->tensor),
                                                      ": row ", r, ", column ", columns.begin + c, " is ", stored,
                                                      is_finite(stored) ? ", and times its factors beyond float32"
                                                                        : "; every weight must be finite in float32"));
      }
    }
  }

  std::vector<Part> parts_;
  Index rows_ = 0;
};

}  // namespace detail
}  // namespace sinq::inline SINQ_ABI::fold
