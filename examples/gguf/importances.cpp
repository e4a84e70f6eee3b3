#include "gguf/importances.hpp"

#include <sinq/error.hpp>

#include "gguf/column_importance.hpp"
#include "llm/gguf_names.hpp"
#include "llm/opened_model.hpp"
#include "llm/progress.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace gguf {
namespace {

using sinq::io::GgufTensorInfo;

/// Whether importance changes what is written of a tensor.
bool is_weighed(const GgufTensorInfo& tensor) {
  return block_size(tensor.type) > 1 && role_of(tensor.name, tensor.shape) != TensorRole::kKept;
}

}  // namespace

Importances::Importances(const ConvertOptions& options, const std::vector<GgufTensorInfo>& tensors)
    : options_(options) {
  if (options.importance == Importance::kImatrix) {
    imatrix_ = Imatrix::open(options.imatrix);
    check_imatrix(tensors);
  }
  if (options.importance == Importance::kActivations) {
    const auto config = llm::open_model(options.model).config;
    text_ = llm::blocks_from_text(llm::open_tokenizer(options.model), options.calibration,
                                  std::min(options.calibration_context, config.max_positions));
    text_.limit(options.calibration_blocks);
  }
}

void Importances::measure() {
  if (options_.importance != Importance::kActivations) return;
  const llm::Model model = llm::Model::open(options_.model);
  llm::Progress progress("calibrate", text_.count());
  inputs_ = llm::InputStats::collect(model, text_, options_.threads, [&] { progress.step(); });
  for (Index layer = 0; layer < model.config.layers; ++layer) {
    for (std::size_t i = 0; i < llm::kBlockLinears.size(); ++i) {
      const llm::LinearId id{layer, i};
      linears_.emplace(llm::gguf_name(id.name() + ".weight"), id);
    }
  }
}

std::vector<float> Importances::of(const GgufTensorInfo& tensor, Index index, const sinq::MatrixView& stored,
                                   sinq::RowRange rows, const sinq::fold::Factors* factors) const {
  if (!is_weighed(tensor)) return {};
  std::vector<float> out;
  switch (options_.importance) {
    case Importance::kNone:
      return out;
    case Importance::kSinkhorn:
      if (role_of(tensor.name, tensor.shape) == TensorRole::kTable) return out;
      out = sinkhorn_importance(stored, rows);
      break;
    case Importance::kActivations: {
      const auto linear = linears_.find(tensor.name);
      if (linear == linears_.end()) return out;
      out = activation_importance(inputs_.of(linear->second));
      break;
    }
    case Importance::kImatrix:
      out = importance_of(entry(tensor, index));
      break;
  }
  follow_fold(factors, out);
  return out;
}

void Importances::describe(sinq::io::GgufMetadata& metadata) const {
  if (!imatrix_) return;
  metadata.set("quantize.imatrix.file", imatrix_->name);
  if (!imatrix_->text.empty()) metadata.set("quantize.imatrix.dataset", imatrix_->text);
  metadata.set("quantize.imatrix.entries_count", static_cast<std::uint32_t>(imatrix_->entries.size()));
  if (imatrix_->chunks > 0) metadata.set("quantize.imatrix.chunks_count", static_cast<std::uint32_t>(imatrix_->chunks));
}

std::span<const double> Importances::entry(const GgufTensorInfo& tensor, Index index) const {
  const auto found = imatrix_->entries.find(tensor.name);
  if (found == imatrix_->entries.end()) return {};
  const auto cols = static_cast<std::size_t>(tensor.shape.back());
  return std::span(found->second).subspan(static_cast<std::size_t>(index) * cols, cols);
}

void Importances::check_imatrix(const std::vector<GgufTensorInfo>& tensors) {
  Index known = 0, missing = 0, matrices = 0, unused = 0, zeros = 0;
  std::string first_missing, first_unused;
  std::set<std::string_view> names;
  for (const auto& tensor : tensors) {
    names.insert(tensor.name);
    if (!is_weighed(tensor)) continue;
    const auto found = imatrix_->entries.find(tensor.name);
    if (found == imatrix_->entries.end()) {
      if (missing++ == 0) first_missing = tensor.name;
      continue;
    }
    ++known;
    const Index count = matrix_count(tensor.shape), cols = tensor.shape.back();
    if (static_cast<Index>(found->second.size()) != count * cols) {
      throw sinq::Error(sinq::Errc::kBadFile,
                        sinq::detail::text(imatrix_->name, ": tensor ", sinq::io::detail::name_text(tensor.name), ": ",
                                           found->second.size(), " values, but the model has ", count, " matrices of ",
                                           cols, " columns"));
    }
    for (Index i = 0; i < count; ++i, ++matrices) {
      const auto values = entry(tensor, i);
      const Index zero = std::count(values.begin(), values.end(), 0.0);
      if (zero == cols) {
        if (unused++ == 0) first_unused = tensor.name;
      } else {
        zeros += zero;
      }
    }
  }
  if (known == 0) {
    throw sinq::Error(sinq::Errc::kBadFile, imatrix_->name + ": none of its " +
                                                std::to_string(imatrix_->entries.size()) +
                                                " entries is a tensor that is fitted: of another model?");
  }
  const Index others = std::count_if(imatrix_->entries.begin(), imatrix_->entries.end(),
                                     [&](const auto& named) { return !names.contains(named.first); });
  const auto note = [&](Index count, const std::string& what, const std::string& first = {}) {
    if (count == 0) return;
    notes_.push_back("imatrix: " + std::to_string(count) + " " + what + (first.empty() ? "" : ": " + first) +
                     (first.empty() || count == 1 ? "" : ", ..."));
  };
  note(missing, "tensors have no entry, their columns weigh alike", first_missing);
  note(unused, "of " + std::to_string(matrices) + " matrices were never used, their columns weigh alike", first_unused);
  note(zeros, "columns of other matrices are zero, they weigh as the others of their matrix on average");
  note(others, "entries are of tensors that this model does not have");
}

}  // namespace gguf
