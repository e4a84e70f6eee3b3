#pragma once

#include <sinq/detail/map.hpp>
#include <sinq/fold/architecture.hpp>
#include <sinq/fold/plan.hpp>
#include <sinq/io/printable.hpp>

namespace sinq::inline SINQ_ABI::fold::detail {

enum class Presence : std::uint8_t { kRequired, kOptional };

/// All tensors that a model of some architecture may have, and its edges: what a preset fills in.
class Declaration {
 public:
  explicit Declaration(std::span<const TensorShape> tensors) {
    for (const TensorShape& tensor : tensors) found_.emplace(tensor.name, tensor.shape);
  }

  void tensor(const std::string& name, std::vector<Index> shape, Presence presence = Presence::kRequired) {
    expected_.emplace(name, Expected{std::move(shape), presence});
  }
  /// A tensor of any shape that has nothing to do with folding, such as a buffer of rotary frequencies.
  void buffer(const std::string& name) { expected_.emplace(name, Expected{{}, Presence::kOptional}); }
  /// Weight and perhaps bias.
  void linear(const std::string& name, Index rows, Index cols) {
    tensor(name + ".weight", {rows, cols});
    tensor(name + ".bias", {rows}, Presence::kOptional);
  }
  void norm(const std::string& name, Index size) {
    tensor(name + ".weight", {size});
    tensor(name + ".bias", {size}, Presence::kOptional);
  }

  /// norm -> columns of `readers`.
  void norm_edge(EdgeKind kind, const std::string& name, NormKind norm_kind, Index size,
                 std::vector<Consumer> readers) {
    Edge edge{kind, size, {{.tensor = name + ".weight", .norm = norm_kind}}, {}};
    if (found_.contains(name + ".bias")) edge.producers.push_back({.tensor = name + ".bias"});
    edge.consumers = std::move(readers);
    for (Consumer& reader : edge.consumers) reader.tensor += ".weight";
    edges_.push_back(std::move(edge));
  }
  /// Rows of a linear layer, and their biases -> columns of another.
  void row_edge(EdgeKind kind, Index channels, Producer rows, Consumer columns) {
    Edge edge{kind, channels, {rows, rows}, {columns}};
    edge.producers[0].tensor += ".weight";
    edge.producers[1].tensor += ".bias";
    if (!found_.contains(edge.producers[1].tensor)) edge.producers.pop_back();
    edge.consumers[0].tensor += ".weight";
    edges_.push_back(std::move(edge));
  }

  /// The edges, if the model has all the tensors it must have, of the right shape, and no others.
  [[nodiscard]] std::vector<Edge> checked(std::string_view family) && {
    for (const auto& [name, shape] : found_) {
      const auto known = expected_.find(name);
      if (known == expected_.end()) {
        SINQ_THROW(Errc::kUnsupported,
                   sinq::detail::text("fold: tensor ", io::detail::name_text(name), " ", shape_text(shape),
                                      " is not known in a model of ", family, "; it might read what folding changes"));
      }
      if (!known->second.shape.empty() && known->second.shape != shape) {
        SINQ_THROW(Errc::kBadShape,
                   sinq::detail::text("fold: tensor ", io::detail::name_text(name), " has shape ", shape_text(shape),
                                      ", config.json means ", shape_text(known->second.shape)));
      }
    }
    for (const auto& [name, wanted] : expected_) {
      if (wanted.presence == Presence::kRequired && !found_.contains(name)) {
        SINQ_THROW(Errc::kBadShape,
                   sinq::detail::text("fold: there is no tensor ", io::detail::name_text(name), " ",
                                      shape_text(wanted.shape), ", which a model of ", family, " has"));
      }
    }
    return std::move(edges_);
  }

 private:
  struct Expected {
    std::vector<Index> shape;  ///< empty: any
    Presence presence;
  };
  sinq::detail::Map<std::string, std::vector<Index>> found_;
  sinq::detail::Map<std::string, Expected> expected_;
  std::vector<Edge> edges_;
};

}  // namespace sinq::inline SINQ_ABI::fold::detail
