#include "llm/model.hpp"

#include <sinq/io/tensor_info.hpp>
#include <sinq/kernels/scaled_input.hpp>

#include "llm/deferred_weight.hpp"
#include "llm/model_tensors.hpp"
#include "llm/parallel_for.hpp"
#include "llm/tensors.hpp"

namespace llm {
namespace {

/// The matrix `name` as it is stored, codes or floats. Checked now, read when it is first used.
std::shared_ptr<const Weight> deferred(const std::shared_ptr<const TensorSource>& tensors, const std::string& name,
                                       Index rows, Index cols, sinq::Precision activations) {
  const sinq::MatrixView floats = tensors->matrix(name, rows, cols);
  const auto codes = tensors->quantized(name);
  return std::make_shared<DeferredWeight>(rows, cols, [=]() -> std::shared_ptr<const Weight> {
    static_cast<void>(tensors);  // what the views point to
    if (codes) return weight_of(name, *codes, activations);
    return std::make_shared<DenseWeight>(pack(name, floats));
  });
}

/// A tensor that is left out would change what is computed without a word.
void refuse_unknown_tensors(const std::string& path, const TensorSource& tensors, const ModelConfig& config) {
  for (const std::string& name : tensors.others(model_tensors(config))) {
    if (is_redundant(name, config)) continue;
    throw sinq::Error(sinq::Errc::kUnsupported,
                      path + ": tensor " + sinq::io::detail::name_text(name) +
                          " is none of a model as the configuration describes it; it would be left out");
  }
}

}  // namespace

std::string block_name(Index layer) { return "model.layers." + std::to_string(layer) + "."; }

LinearShape linear_shape(const ModelConfig& config, std::size_t linear) {
  const Index query = config.heads * config.head_dim;
  const Index key = config.kv_heads * config.head_dim;
  switch (linear) {
    case 0:
      return {query, config.hidden_size, config.attention_bias};
    case 1:
    case 2:
      return {key, config.hidden_size, config.attention_bias};
    case 3:
      return {config.hidden_size, query, config.attention_bias};
    case 4:
    case 5:
      return {config.intermediate_size, config.hidden_size, config.mlp_bias};
    default:
      return {config.hidden_size, config.intermediate_size, config.mlp_bias};
  }
}

std::string LinearId::name() const { return block_name(layer) + kBlockLinears[linear].name; }

Model Model::open(const std::filesystem::path& path, sinq::Precision activations) {
  OpenedModel opened = open_model(path);
  Model model;
  model.path = path;
  model.config = std::move(opened.config);
  model.tensors = std::move(opened.tensors);
  const ModelConfig& config = model.config;
  const auto vector = [&](const std::string& name, Index size) { return model.tensors->vector(name, size); };
  for (Index layer = 0; layer < config.layers; ++layer) {
    Block& block = model.blocks.emplace_back();
    const std::string prefix = block_name(layer);
    block.attention_norm = vector(prefix + kAttentionNormName, config.hidden_size);
    block.mlp_norm = vector(prefix + kMlpNormName, config.hidden_size);
    if (config.query_key_norm) {
      block.query_norm = vector(prefix + kQueryNormName, config.head_dim);
      block.key_norm = vector(prefix + kKeyNormName, config.head_dim);
    }
  }
  model.final_norm = vector(kFinalNormName, config.hidden_size);

  for (const LinearId id : model.linears()) {
    Linear& linear = model.linear(id);
    const LinearShape shape = linear_shape(config, id.linear);
    linear.weight = deferred(model.tensors, id.name() + ".weight", shape.rows, shape.cols, activations);
    if (shape.bias) linear.bias = vector(id.name() + ".bias", shape.rows);
  }
  model.embedding = model.tensors->matrix(kEmbeddingName, config.vocab_size, config.hidden_size);
  const char* head = config.tied_head ? kEmbeddingName : kHeadName;
  model.head.weight = deferred(model.tensors, head, config.vocab_size, config.hidden_size, activations);
  refuse_unknown_tensors(path.string(), *model.tensors, config);
  return model;
}

Model Model::open(const std::filesystem::path& path) { return open(path, sinq::Precision::kFloat); }

void Model::prepare(int threads) const {
  const std::vector<LinearId> ids = linears();
  // A head that is the embedding table has read all of it.
  const Index items = static_cast<Index>(ids.size()) + (config.tied_head ? 1 : 2);
  parallel_for(items, threads, [&](int, Index i) {
    const auto at = static_cast<std::size_t>(i);
    if (at > ids.size()) return require_finite_embeddings();
    (at < ids.size() ? linear(ids[at]) : head).weight->prepare();
  });
}

void Model::require_finite_embeddings() const { require_finite(kEmbeddingName, embedding); }

void Model::embed(Token token, float* out) const {
  if (token < 0 || token >= config.vocab_size) {
    throw sinq::Error(sinq::Errc::kBadData, "token id " + std::to_string(token) + " is not below vocab_size " +
                                                std::to_string(config.vocab_size));
  }
  read_row(kEmbeddingName, embedding, token, out);
}

std::vector<LinearId> Model::linears() const {
  std::vector<LinearId> ids;
  for (Index layer = 0; layer < config.layers; ++layer) {
    for (std::size_t i = 0; i < kBlockLinears.size(); ++i) ids.push_back({layer, i});
  }
  return ids;
}

const Linear& Model::linear(LinearId id) const {
  return blocks[static_cast<std::size_t>(id.layer)].*kBlockLinears[id.linear].member;
}

Linear& Model::linear(LinearId id) {
  return blocks[static_cast<std::size_t>(id.layer)].*kBlockLinears[id.linear].member;
}

sinq::MatrixView Model::stored_weight(LinearId id) const {
  const LinearShape shape = linear_shape(config, id.linear);
  return tensors->matrix(id.name() + ".weight", shape.rows, shape.cols);
}

std::vector<std::string> Model::tables() const {
  if (config.tied_head) return {kEmbeddingName};
  return {kEmbeddingName, kHeadName};
}

sinq::MatrixView Model::stored_table(const std::string& name) const {
  return tensors->matrix(name, config.vocab_size, config.hidden_size);
}

void Model::replace_table(const std::string& name, sinq::QuantizedMatrix matrix, sinq::Precision activations) {
  if (name == kHeadName || config.tied_head) head.weight = weight_of(name, matrix, activations);
  if (name != kEmbeddingName) return;
  own_embedding = std::make_shared<const OwnDecodedMatrix>(std::move(matrix));
  embedding = own_embedding->view();
}

double Model::stored_bits_per_weight() const {
  double bits = 0, weights = 0;
  const auto add = [&](const std::string& name, const sinq::MatrixView& w) {
    bits += tensors->stored_bits(name);
    weights += static_cast<double>(w.rows) * static_cast<double>(w.cols);
  };
  for (const LinearId id : linears()) add(id.name() + ".weight", stored_weight(id));
  for (const std::string& name : tables()) {
    if (tensors->quantized(name)) add(name, stored_table(name));
  }
  return bits / weights;
}

}  // namespace llm
