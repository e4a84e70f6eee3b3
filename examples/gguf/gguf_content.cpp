#include "gguf/gguf_content.hpp"

#include <sinq/detail/tile_loader.hpp>
#include <sinq/io/printable.hpp>

#include "common/named_error.hpp"
#include "fold/architecture_json.hpp"
#include "gguf/file_type.hpp"
#include "gguf/type_rules.hpp"
#include "llm/gguf_description.hpp"
#include "llm/gguf_names.hpp"

#include <utility>

namespace gguf {
namespace {

using sinq::io::GgufTensorInfo;
using sinq::io::detail::name_text;

/// "3 tensors of q4_0, 2 of q5_0"
std::string counts_text(const std::map<GgufType, int>& counts) {
  std::string out;
  for (const auto& [type, count] : counts) {
    out += (out.empty() ? "" : ", ") + std::to_string(count) + (out.empty() ? " tensors" : "") + " of " +
           std::string(name(type));
  }
  return out;
}

}  // namespace

GgufContent::GgufContent(const ConvertOptions& options)
    : options_(options), files_(sinq::io::GgufModel::open(options.model)) {
  choose_types();
  metadata_ = without_shards(files_.metadata());
  metadata_.set("general.file_type", file_type(options.type));
  metadata_.set("general.quantization_version", kQuantizationVersion);
  if (!options.name.empty()) metadata_.set("general.name", options.name);
  if (options.fold) plan_folding();
}

std::vector<std::filesystem::path> GgufContent::inputs() const {
  std::vector<std::filesystem::path> out;
  for (const auto& file : files_.files()) out.emplace_back(file.name());
  return out;
}

void GgufContent::choose_types() {
  TypeRules types(options_);
  std::map<GgufType, int> again, unread;
  for (const auto& tensor : files_.tensors()) {
    const GgufTensorInfo& stored = tensor.info;
    GgufTensorInfo out{stored.name, stored.type, stored.shape};
    const TensorRole role = role_of(stored.name, stored.shape);
    const bool has_blocks = !scalar_type(stored.type);
    bool is_free = false;
    if (role != TensorRole::kKept && stored.begin != stored.end) {
      if (is_readable(stored.type)) {
        const auto choice = types.choose(stored.name, stored.name, role, stored.shape.back(),
                                         has_blocks ? std::optional(stored.type) : std::nullopt);
        out.type = choice.type;
        is_free = choice.is_free;
      } else {
        ++unread[stored.type];
      }
    }
    if ((is_free || out.type != stored.type) && has_blocks) {
      if (!options_.requantize) {
        throw sinq::Error(sinq::Errc::kBadConfig,
                          tensor.file.name() + ": tensor " + name_text(stored.name) + " is " +
                              std::string(name(stored.type)) +
                              " already; to encode it again loses more than to encode the original: --requantize does");
      }
      ++again[stored.type];
    }
    tensors_.push_back(std::move(out));
    free_.push_back(is_free);
  }
  types.require_use();
  notes_ = types.notes();
  if (!again.empty()) notes_.push_back("lossy: encoded a second time are " + counts_text(again));
  if (!unread.empty()) notes_.push_back("kept, since their numbers cannot be read: " + counts_text(unread));
}

void GgufContent::plan_folding() {
  constexpr const char* kNoWeights = "rope_freqs.weight";  // factors of rotary frequencies
  std::vector<sinq::fold::TensorShape> shapes;
  try {
    const bool tied_head = files_.find("output.weight") == nullptr;
    const auto architecture = fold_program::architecture_from_json(llm::config_from_gguf(files_.metadata(), tied_head));
    for (const auto& tensor : files_.tensors()) {
      const std::string& file_name = tensor.info.name;
      if (file_name == kNoWeights) continue;
      const std::string plan_name = llm::hugging_face_name(file_name);
      shapes.push_back({plan_name, tensor.info.shape});
      plan_names_.emplace(file_name, plan_name);
    }
    plan_ = sinq::fold::make_plan(architecture, shapes);
  } catch (const sinq::Error& error) {
    throw sinq::Error(error.code(), std::string("--fold: ") + error.what());
  }
}

void GgufContent::find_factors() {
  if (!plan_) return;
  const auto lookup = [&](const std::string& name) { return files_.at(llm::gguf_name(name)).matrix_view(); };
  const auto release = [&](const sinq::fold::Edge& edge) {
    for (const auto& consumer : edge.consumers) files_.at(llm::gguf_name(consumer.tensor)).release();
  };
  factors_ = sinq::fold::find_factors(*plan_, lookup, *options_.fold, release);
}

const sinq::fold::Factors* GgufContent::factors_of(const std::string& tensor) const {
  const auto planned = plan_names_.find(tensor);
  return planned == plan_names_.end() ? nullptr : factors_.find(planned->second);
}

void GgufContent::write(std::size_t tensor, const Importances& importances, TensorEncoder& encoder,
                        const TensorEncoder::Sink& sink) const {
  const auto& source = files_.tensors()[tensor];
  const GgufTensorInfo& target = tensors_[tensor];
  const auto* factors = factors_of(source.info.name);
  const bool is_copied = factors == nullptr && target.type == source.info.type;
  if (!is_copied && source.info.shape.size() != 1) {
    write_matrices(tensor, importances, encoder, sink);
  } else {
    common::with_tensor_name(
        source.info.name,
        [&] {
          if (is_copied) return encoder.copy(source, sink);
          const Index size = source.info.shape[0];
          std::vector<float> values(static_cast<std::size_t>(size));
          sinq::detail::read_rect(source.rows_view(), {0, 0, 1, size}, values.data(), size);
          values = folded_vector(std::move(values), factors);
          encoder.encode(sinq::MatrixView::row_major(values.data(), 1, size), {0, 1}, target.type, {}, sink);
        },
        [] {}, source.file.name());
  }
  source.release();
}

void GgufContent::write_matrices(std::size_t tensor, const Importances& importances, TensorEncoder& encoder,
                                 const TensorEncoder::Sink& sink) const {
  const auto& source = files_.tensors()[tensor];
  const GgufType type = tensors_[tensor].type;
  const Index cols = source.info.shape.back();
  const auto row_bytes = [&](GgufType of) {
    return static_cast<std::uint64_t>(cols / block_size(of) * block_bytes(of));
  };
  std::uint64_t written = 0;
  const auto write = [&](std::span<const std::byte> bytes) {
    sink(bytes);
    written += bytes.size();
    source.file.release(source.info, 0, written / row_bytes(type) * row_bytes(source.info.type));
  };
  for (Index i = 0; i < matrix_count(source.info.shape); ++i) {
    with_matrix(tensor, i, type, importances, [&](const auto& weights, sinq::RowRange rows, const auto& importance) {
      encoder.encode(weights, rows, type, importance, write);
    });
  }
}

void GgufContent::with_matrix(std::size_t tensor, Index index, GgufType type, const Importances& importances,
                              const MatrixBody& body) const {
  const auto& source = files_.tensors()[tensor];
  const auto* factors = factors_of(source.info.name);
  const auto call = [&] {
    const sinq::MatrixView stored = source.rows_view();
    const sinq::fold::FoldedMatrix folded(stored, factors, product_rounding(type));
    const Index rows = source.info.shape[source.info.shape.size() - 2];
    const sinq::RowRange range{index * rows, (index + 1) * rows};
    const GgufTensorInfo target{source.info.name, type, source.info.shape};
    body(folded.view(), range, importances.of(target, index, stored, range, factors));
  };
  common::with_tensor_name(
      source.info.name, call, [] {}, source.file.name());
}

}  // namespace gguf
