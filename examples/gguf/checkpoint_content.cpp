#include "gguf/checkpoint_content.hpp"

#include "common/float_model.hpp"
#include "common/named_error.hpp"
#include "common/text.hpp"
#include "fold/architecture_json.hpp"
#include "fold/fold_model.hpp"
#include "gguf/gguf_metadata.hpp"
#include "gguf/type_rules.hpp"
#include "llm/gguf_names.hpp"
#include "llm/model.hpp"
#include "llm/model_tensors.hpp"
#include "llm/tensors.hpp"

#include <algorithm>
#include <utility>

namespace gguf {
namespace {

using sinq::io::GgufTensorInfo;
using sinq::io::detail::name_text;

constexpr const char* kRopeFactors = "rope_freqs.weight";

/// All tensors of a model, in the order of the file.
class TensorList {
 public:
  TensorList(const llm::ModelConfig& config, const ConvertOptions& options) : types(options), config_(config) {
    table("model.embed_tokens.weight");
    if (!config.rope_factors.empty()) add({}, {kRopeFactors, GgufType::kF32, {config.head_dim / 2}});
    for (Index layer = 0; layer < config.layers; ++layer) {
      const std::string prefix = "model.layers." + std::to_string(layer) + ".";
      vector(prefix + "input_layernorm.weight", config.hidden_size);
      for (std::size_t i = 0; i < llm::kBlockLinears.size(); ++i) linear({layer, i});
      if (config.query_key_norm) {
        vector(prefix + "self_attn.q_norm.weight", config.head_dim);
        vector(prefix + "self_attn.k_norm.weight", config.head_dim);
      }
      vector(prefix + "post_attention_layernorm.weight", config.hidden_size);
    }
    vector("model.norm.weight", config.hidden_size);
    if (!config.tied_head) table("lm_head.weight");
  }

  std::vector<std::string> sources;
  std::vector<GgufTensorInfo> tensors;  ///< of the same positions
  std::vector<bool> free;               ///< likewise
  TypeRules types;

 private:
  void add(std::string source, GgufTensorInfo tensor) {
    sources.push_back(std::move(source));
    tensors.push_back(std::move(tensor));
    free.push_back(false);
  }
  void vector(const std::string& name, Index size) { add(name, {llm::gguf_name(name), GgufType::kF32, {size}}); }
  void table(const std::string& name) { matrix(name, TensorRole::kTable, config_.vocab_size, config_.hidden_size); }
  void linear(llm::LinearId id) {
    const llm::LinearShape shape = llm::linear_shape(config_, id.linear);
    matrix(id.name() + ".weight", TensorRole::kMatrix, shape.rows, shape.cols);
    if (shape.bias) vector(id.name() + ".bias", shape.rows);
  }
  void matrix(const std::string& name, TensorRole role, Index rows, Index cols) {
    const std::string tensor = llm::gguf_name(name);
    const auto choice = types.choose(tensor, name, role, cols);
    add(name, {tensor, choice.type, {rows, cols}});
    free.back() = choice.is_free;
  }

  const llm::ModelConfig& config_;
};

}  // namespace

CheckpointContent::CheckpointContent(const ConvertOptions& options)
    : options_(options),
      config_(llm::ModelConfig::open(options.model)),
      files_(sinq::io::Checkpoint::open(options.model)),
      is_llama_(architecture_of(config_) == "llama") {
  common::require_floats(files_, options.model);
  refuse_what_files_cannot_say();
  list_tensors();
  check_tensors();
  const std::string name = options.name.empty() ? common::folder_name(options.model) : options.name;
  metadata_ = metadata_of(options.model, config_, name, options.type, weight_count());
  if (!metadata_.has("tokenizer.ggml.eos_token_id")) {
    notes_.push_back(
        "warning: neither tokenizer_config.json nor config.json names an end token: readers will not stop");
  }
  if (options.fold) {
    std::vector<sinq::fold::TensorShape> shapes;
    for (const std::string& source : sources_) {
      if (!source.empty()) shapes.push_back({source, files_.at(source).info.shape});
    }
    const auto architecture = fold_program::architecture_from_json(llm::read_json(options.model / "config.json"));
    plan_ = sinq::fold::make_plan(architecture, shapes);
  }
}

void CheckpointContent::refuse_what_files_cannot_say() const {
  const auto refuse = [&](const std::string& what) {
    throw sinq::Error(sinq::Errc::kUnsupported, options_.model.string() + ": " + what +
                                                    " of a Qwen3 model are not supported: llama.cpp's qwen3 has none");
  };
  if (is_llama_) return;
  if (config_.attention_bias || config_.mlp_bias) refuse("biases");
  if (!config_.rope_factors.empty()) refuse("factors of rope_type llama3");
}

void CheckpointContent::list_tensors() {
  TensorList list(config_, options_);
  sources_ = std::move(list.sources);
  tensors_ = std::move(list.tensors);
  free_ = std::move(list.free);
  list.types.require_use();
  notes_ = list.types.notes();
}

/// Refuses tensors that would be lost, and those of another shape than the file's will have.
void CheckpointContent::check_tensors() const {
  std::vector<std::string> known;
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    const std::string& name = sources_[i];
    if (name.empty()) continue;
    const auto& info = files_.at(name).info;
    const bool is_readable = info.shape.size() == 2 ? is_float(info.dtype) : scalar_type(info.dtype).has_value();
    if (info.shape != tensors_[i].shape || !is_readable) {
      throw sinq::Error(sinq::Errc::kBadFile,
                        "tensor " + name_text(name) + " is " + std::string(sinq::io::name(info.dtype)) + " " +
                            sinq::io::detail::shape_text(info.shape) + ", config.json asks for floats " +
                            sinq::io::detail::shape_text(tensors_[i].shape));
    }
    known.push_back(name);
  }
  std::sort(known.begin(), known.end());
  for (const auto& tensor : files_.tensors()) {
    const std::string& name = tensor.info.name;
    if (!llm::is_redundant(name, config_) && !std::binary_search(known.begin(), known.end(), name)) {
      throw sinq::Error(sinq::Errc::kUnsupported,
                        "tensor " + name_text(name) + " has no place in a GGUF file of such a model: not supported");
    }
  }
}

double CheckpointContent::weight_count() const {
  double out = 0.0;
  for (const auto& tensor : tensors_) {
    double count = 1.0;
    for (const Index extent : tensor.shape) count *= static_cast<double>(extent);
    out += count;
  }
  return out;
}

void CheckpointContent::find_factors() {
  if (plan_) factors_ = fold_program::find_factors(files_, *plan_, *options_.fold);
}

void CheckpointContent::write(std::size_t tensor, const Importances& importances, TensorEncoder& encoder,
                              const TensorEncoder::Sink& sink) const {
  const auto& info = tensors_[tensor];
  if (info.shape.size() == 1) {
    sink(std::as_bytes(std::span<const float>(vector(sources_[tensor], info.shape[0]))));
  } else {
    write_matrix(tensor, importances, encoder, sink);
  }
  if (!sources_[tensor].empty()) files_.at(sources_[tensor]).release();
}

bool CheckpointContent::is_reordered(const std::string& name) const { return is_llama_ && llm::has_rope_order(name); }

/// A vector as the file has it, folded and in its order.
std::vector<float> CheckpointContent::vector(const std::string& name, Index size) const {
  if (name.empty()) return config_.rope_factors;
  const auto& tensor = files_.at(name);
  std::vector<float> stored(static_cast<std::size_t>(size));
  llm::read_row(name, sinq::MatrixView::row_major(tensor.bytes().data(), *scalar_type(tensor.info.dtype), 1, size), 0,
                stored.data());
  stored = common::with_tensor_name(tensor, [&] { return folded_vector(std::move(stored), factors_.find(name)); });
  if (!is_reordered(name)) return stored;
  std::vector<float> out(stored.size());
  for (Index i = 0; i < size; ++i) {
    const Index from = llm::other_row(llm::RopeOrder::kPairs, i, config_.head_dim);
    out[static_cast<std::size_t>(i)] = stored[static_cast<std::size_t>(from)];
  }
  return out;
}

void CheckpointContent::write_matrix(std::size_t tensor, const Importances& importances, TensorEncoder& encoder,
                                     const TensorEncoder::Sink& sink) const {
  const auto& source = files_.at(sources_[tensor]);
  const GgufType type = tensors_[tensor].type;
  const Index cols = tensors_[tensor].shape.back();
  // Rows that are written leave memory; of reordered heads those nearby are read again.
  const auto row_bytes = static_cast<std::uint64_t>(cols * dtype_bytes(source.info.dtype));
  const auto written_row_bytes = static_cast<std::uint64_t>(cols / block_size(type) * block_bytes(type));
  std::uint64_t written = 0;
  const auto write = [&](std::span<const std::byte> bytes) {
    sink(bytes);
    written += bytes.size();
    source.file.release(source.info, 0, written / written_row_bytes * row_bytes);
  };
  with_matrix(tensor, 0, type, importances, [&](const auto& weights, sinq::RowRange rows, const auto& importance) {
    encoder.encode(weights, rows, type, importance, write);
  });
}

void CheckpointContent::with_matrix(std::size_t tensor, Index index, GgufType type, const Importances& importances,
                                    const MatrixBody& body) const {
  const std::string& name = sources_[tensor];
  const auto& source = files_.at(name);
  const auto* factors = factors_.find(name);
  common::with_tensor_name(source, [&] {
    const sinq::MatrixView stored = source.matrix_view();
    const sinq::fold::FoldedMatrix folded(stored, factors, product_rounding(type));
    const llm::ReorderedHeads reordered(folded.view(), llm::RopeOrder::kPairs, config_.head_dim);
    const sinq::RowRange rows{0, stored.rows};
    const GgufTensorInfo target{tensors_[tensor].name, type, tensors_[tensor].shape};
    body(is_reordered(name) ? reordered.view() : folded.view(), rows,
         importances.of(target, index, stored, rows, factors));
  });
}

}  // namespace gguf
