#include "llm/gguf_source.hpp"

#include <sinq/io/tensor_info.hpp>

#include "llm/gguf_description.hpp"
#include "llm/model.hpp"
#include "llm/tensors.hpp"

namespace llm {
namespace {

constexpr const char* kRopeFactors = "rope_freqs.weight";

/// What parts of the JSON form say is wrong, is wrong in the file.
template <class Read>
auto named(const std::string& file, const Read& read) {
  try {
    return read();
  } catch (const sinq::Error& e) {
    const std::string text = e.what();
    throw sinq::Error(e.code(), text.starts_with(file) ? text : file + ": " + text);
  }
}

}  // namespace

GgufSource::GgufSource(const std::filesystem::path& path) : model_(sinq::io::GgufModel::open(path)) {
  named(model_.name(), [&] {
    const bool tied_head = model_.find("output.weight") == nullptr;
    Json description = config_from_gguf(model_.metadata(), tied_head);
    description["attention_bias"] = model_.find("blk.0.attn_q.bias") != nullptr;
    description["mlp_bias"] = model_.find("blk.0.ffn_up.bias") != nullptr;
    config_ = ModelConfig::from_json(description);
    if (model_.find(kRopeFactors) != nullptr) {
      config_.rope_factors = floats(kRopeFactors, config_.head_dim / 2);
    }
    for (Index layer = 0; layer < config_.layers; ++layer) {
      for (std::size_t linear = 0; linear < kBlockLinears.size(); ++linear) {
        const std::string name = LinearId{layer, linear}.name() + ".weight";
        is_quantized_ = is_quantized_ || !scalar_type(model_.at(gguf_name(name)).info.type);
        if (!config_.query_key_norm && has_rope_order(name)) {
          const Index heads = linear == 0 ? config_.heads : config_.kv_heads;
          const auto& stored = of_shape(gguf_name(name), {heads * config_.head_dim, config_.hidden_size});
          heads_.emplace(name, ReorderedHeads(stored.matrix_view(), RopeOrder::kHalves, config_.head_dim));
        }
      }
    }
  });
}

std::vector<float> GgufSource::floats(const std::string& gguf_tensor, Index size) const {
  const auto& tensor = of_shape(gguf_tensor, {size});
  const auto type = scalar_type(tensor.info.type);
  if (!type) {
    throw sinq::Error(sinq::Errc::kUnsupported, tensor.file.name() + ": " + gguf_tensor + " has type " +
                                                    std::string(name(tensor.info.type)) + ", which is no float type");
  }
  std::vector<float> out(static_cast<std::size_t>(size));
  read_row(gguf_tensor, sinq::MatrixView::row_major(tensor.bytes().data(), *type, 1, size), 0, out.data());
  return out;
}

std::vector<float> GgufSource::vector(const std::string& name, Index size) const {
  std::vector<float> stored = floats(gguf_name(name), size);
  if (config_.query_key_norm || !has_rope_order(name)) return stored;
  std::vector<float> out(stored.size());
  for (Index i = 0; i < size; ++i) {
    const Index at = other_row(RopeOrder::kHalves, i, config_.head_dim);
    out[static_cast<std::size_t>(i)] = stored[static_cast<std::size_t>(at)];
  }
  return out;
}

sinq::MatrixView GgufSource::matrix(const std::string& name, Index rows, Index cols) const {
  const auto& tensor = of_shape(gguf_name(name), {rows, cols});
  const auto heads = heads_.find(name);
  return heads == heads_.end() ? tensor.matrix_view() : heads->second.view();
}

std::optional<sinq::QuantizedView> GgufSource::quantized(const std::string&) const { return std::nullopt; }

std::vector<std::string> GgufSource::others(const std::set<std::string>& known) const {
  std::set<std::string> stored{kRopeFactors};
  for (const std::string& name : known) stored.insert(gguf_name(name));
  std::vector<std::string> out;
  for (const auto& tensor : model_.tensors()) {
    if (!stored.contains(tensor.info.name)) out.push_back(tensor.info.name);
  }
  return out;
}

std::string GgufSource::stored_type(const std::string& name) const {
  return std::string(sinq::io::name(model_.at(gguf_name(name)).info.type));
}

double GgufSource::stored_bits(const std::string& name) const {
  return 8.0 * static_cast<double>(model_.at(gguf_name(name)).bytes().size());
}

const sinq::io::GgufModel::Tensor& GgufSource::of_shape(const std::string& gguf_tensor,
                                                        const std::vector<Index>& expected) const {
  const auto& tensor = model_.at(gguf_tensor);
  if (tensor.info.shape != expected) {
    throw sinq::Error(sinq::Errc::kBadFile, tensor.file.name() + ": " + gguf_tensor + " at byte " +
                                                std::to_string(tensor.info.begin) + " has shape " +
                                                sinq::io::detail::shape_text(tensor.info.shape) +
                                                ", the metadata ask for " + sinq::io::detail::shape_text(expected));
  }
  return tensor;
}

Tokenizer gguf_tokenizer(const std::filesystem::path& path) {
  const auto file = sinq::io::GgufModel::open(path);
  return named(file.name(), [&] { return Tokenizer(tokenizer_from_gguf(file.metadata())); });
}

}  // namespace llm
