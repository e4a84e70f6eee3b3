#pragma once

#include <sinq/detail/map.hpp>
#include <sinq/fold/edge.hpp>

#include <span>
#include <utility>

namespace sinq::inline SINQ_ABI::fold {

/// A tensor of a model: name and shape.
struct TensorShape {
  std::string name;
  std::vector<Index> shape;
};

/// Edges of a model, checked against its tensors.
struct Plan {
  std::vector<Edge> edges;
  sinq::detail::Map<std::string, std::vector<Index>> shapes;  ///< of all tensors of the model
};

namespace detail {

/// "[2, 3]"
[[nodiscard]] inline std::string shape_text(std::span<const Index> shape) {
  std::string out = "[";
  for (const Index extent : shape) out += (out.size() > 1 ? ", " : "") + std::to_string(extent);
  return out + "]";
}

/// Refuses edges that name tensors which do not exist or do not fit, or that fold an axis twice.
class EdgeChecker {
 public:
  explicit EdgeChecker(const Plan& plan) : plan_(plan) {}

  void check(const Edge& edge) {
    if (edge.producers.empty() || edge.consumers.empty() || edge.channels < 1) {
      SINQ_THROW(Errc::kBadConfig,
                 sinq::detail::text("fold: an edge of ", edge.channels, " channels, ", edge.producers.size(),
                                    " producers and ", edge.consumers.size(), " consumers"));
    }
    for (const Producer& producer : edge.producers) check(edge, producer);
    for (const Consumer& consumer : edge.consumers) check(edge, consumer);
  }

 private:
  const std::vector<Index>& shape(const std::string& tensor) const {
    const auto at = plan_.shapes.find(tensor);
    if (at == plan_.shapes.end()) SINQ_THROW(Errc::kBadShape, sinq::detail::text("fold: there is no tensor ", tensor));
    return at->second;
  }

  void check(const Edge& edge, const Producer& producer) {
    const auto& size = shape(producer.tensor);
    const bool whole = producer.block == 0 || (producer.block > 0 && edge.channels % producer.block == 0);
    const bool fits = (size.size() == 1 || size.size() == 2) && whole && producer.first >= 0 && producer.stride >= 0 &&
                      producer.row(edge.channels - 1) < size[0];
    const bool norm = producer.norm == NormKind::kWeight || size.size() == 1;
    if (!fits || !norm) refuse(edge, producer.tensor, size, "make");
    auto& made = made_[producer.tensor];
    made.resize(static_cast<std::size_t>(size[0]));
    for (Index c = 0; c < edge.channels; ++c) {
      const auto row = static_cast<std::size_t>(producer.row(c));
      if (made[row]) {
        SINQ_THROW(Errc::kBadConfig,
                   sinq::detail::text("fold: row ", row, " of ", producer.tensor, " is named as producer twice"));
      }
      made[row] = true;
    }
  }

  void check(const Edge& edge, const Consumer& consumer) {
    const auto& size = shape(consumer.tensor);
    const bool whole = consumer.repeat >= 1 && (consumer.block > 0 ? edge.channels % consumer.block == 0
                                                                   : consumer.block == 0 && consumer.repeat == 1);
    if (size.size() != 2 || !whole || size[1] != edge.channels * consumer.repeat) {
      refuse(edge, consumer.tensor, size, "read");
    }
    if (bool& read = read_[consumer.tensor]; std::exchange(read, true)) {
      SINQ_THROW(Errc::kBadConfig, sinq::detail::text("fold: ", consumer.tensor, " is named as consumer twice"));
    }
  }

  [[noreturn]] static void refuse(const Edge& edge, const std::string& tensor, std::span<const Index> size,
                                  const char* verb) {
    SINQ_THROW(Errc::kBadShape, sinq::detail::text("fold: ", tensor, " ", shape_text(size), " cannot ", verb, " the ",
                                                   edge.channels, " channels of ", edge.name()));
  }

  const Plan& plan_;
  sinq::detail::Map<std::string, sinq::detail::Vector<bool>> made_;
  sinq::detail::Map<std::string, bool> read_;
};

}  // namespace detail

/// A plan from declared edges, for models that no preset knows. That nothing else reads the producers is the caller's
/// word. Throws Errc::kBadShape for tensors that are missing or do not fit, Errc::kBadConfig for edges that overlap.
[[nodiscard]] inline Plan make_plan(std::vector<Edge> edges, std::span<const TensorShape> tensors) {
  Plan plan{std::move(edges), {}};
  for (const TensorShape& tensor : tensors) plan.shapes.emplace(tensor.name, tensor.shape);
  detail::EdgeChecker checker(plan);
  for (const Edge& edge : plan.edges) checker.check(edge);
  return plan;
}

}  // namespace sinq::inline SINQ_ABI::fold
