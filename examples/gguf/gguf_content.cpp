#include "gguf/gguf_content.hpp"

#include <sinq/detail/tile_loader.hpp>
#include <sinq/io/printable.hpp>

#include "common/named_error.hpp"
#include "fold/architecture_json.hpp"
#include "gguf/file_type.hpp"
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
  RowTypes types(options_.fallback);
  std::map<GgufType, int> again, unread;
  for (const auto& tensor : files_.tensors()) {
    const GgufTensorInfo& stored = tensor.info;
    GgufTensorInfo out{stored.name, stored.type, stored.shape};
    const TensorRole role = role_of(stored.name, stored.shape);
    if (role != TensorRole::kKept && stored.begin != stored.end) {
      if (is_readable(stored.type)) {
        out.type = types.choose(stored.name, wanted_type(stored, role), stored.shape.back());
      } else {
        ++unread[stored.type];
      }
    }
    if (out.type != stored.type && !scalar_type(stored.type)) {
      if (!options_.requantize) {
        throw sinq::Error(sinq::Errc::kBadConfig,
                          tensor.file.name() + ": tensor " + name_text(stored.name) + " is " +
                              std::string(name(stored.type)) +
                              " already; to encode it again loses more than to encode the original: --requantize does");
      }
      ++again[stored.type];
    }
    tensors_.push_back(std::move(out));
  }
  notes_ = types.notes();
  if (!again.empty()) notes_.push_back("lossy: encoded a second time are " + counts_text(again));
  if (!unread.empty()) notes_.push_back("kept, since their numbers cannot be read: " + counts_text(unread));
}

GgufType GgufContent::wanted_type(const GgufTensorInfo& stored, TensorRole role) const {
  if (role == TensorRole::kMatrix) return options_.type;
  // Nobody gains by an embedding table that was decoded.
  return !options_.embeddings && !scalar_type(stored.type) ? stored.type : options_.table_type();
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

void GgufContent::write(std::size_t tensor, const Importances& importances, TensorEncoder& encoder,
                        const TensorEncoder::Sink& sink) const {
  const auto& source = files_.tensors()[tensor];
  const auto planned = plan_names_.find(source.info.name);
  const auto* factors = planned == plan_names_.end() ? nullptr : factors_.find(planned->second);
  common::with_tensor_name(
      source.info.name,
      [&] {
        const GgufTensorInfo& target = tensors_[tensor];
        if (factors == nullptr && target.type == source.info.type) return encoder.copy(source, sink);
        if (source.info.shape.size() != 1) return write_matrices(tensor, factors, importances, encoder, sink);
        const Index size = source.info.shape[0];
        std::vector<float> values(static_cast<std::size_t>(size));
        sinq::detail::read_rect(source.rows_view(), {0, 0, 1, size}, values.data(), size);
        values = folded_vector(std::move(values), factors);
        encoder.encode(sinq::MatrixView::row_major(values.data(), 1, size), {0, 1}, target.type, {}, sink);
      },
      [] {}, source.file.name());
  source.release();
}

void GgufContent::write_matrices(std::size_t tensor, const sinq::fold::Factors* factors, const Importances& importances,
                                 TensorEncoder& encoder, const TensorEncoder::Sink& sink) const {
  const auto& source = files_.tensors()[tensor];
  const GgufTensorInfo& target = tensors_[tensor];
  const sinq::MatrixView stored = source.rows_view();
  const sinq::fold::FoldedMatrix folded(stored, factors, product_rounding(target.type));
  const auto row_bytes = [&](GgufType type) {
    return static_cast<std::uint64_t>(stored.cols / block_size(type) * block_bytes(type));
  };
  std::uint64_t written = 0;
  const auto write = [&](std::span<const std::byte> bytes) {
    sink(bytes);
    written += bytes.size();
    source.file.release(source.info, 0, written / row_bytes(target.type) * row_bytes(source.info.type));
  };
  const Index rows = source.info.shape[source.info.shape.size() - 2];
  for (Index i = 0; i * rows < stored.rows; ++i) {
    const sinq::RowRange range{i * rows, (i + 1) * rows};
    encoder.encode(folded.view(), range, target.type, importances.of(target, i, stored, range, factors), write);
  }
}

}  // namespace gguf
