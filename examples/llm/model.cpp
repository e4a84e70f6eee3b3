#include "llm/model.hpp"

#include "llm/parallel_for.hpp"
#include "llm/tensors.hpp"

namespace llm {
namespace {

/// What a linear layer's matrix must look like under `config`.
struct LinearShape {
  Index rows, cols;
  bool bias;
};

LinearShape shape_of(const ModelConfig& config, std::size_t linear) {
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

std::string block_name(Index layer) { return "model.layers." + std::to_string(layer) + "."; }

constexpr const char* kEmbeddingName = "model.embed_tokens.weight";

}  // namespace

std::string LinearId::name() const { return block_name(layer) + kBlockLinears[linear].name; }

PackedMatrix pack(const sinq::MatrixView& view) {
  PackedMatrix out(view.rows, view.cols);
  std::vector<float> row(static_cast<std::size_t>(view.cols));
  for (Index r = 0; r < view.rows; ++r) {
    read_row(view, r, row.data());
    out.set_output(r, row.data());
  }
  return out;
}

Model Model::open(const std::filesystem::path& folder) {
  Model model;
  model.config = ModelConfig::open(folder);
  const ModelConfig& config = model.config;
  model.files = std::make_shared<const sinq::io::Checkpoint>(sinq::io::Checkpoint::open(folder));
  const auto vector = [&](const std::string& name, Index size) { return load_vector(*model.files, name, size); };

  for (Index layer = 0; layer < config.layers; ++layer) {
    Block& block = model.blocks.emplace_back();
    const std::string prefix = block_name(layer);
    block.attention_norm = vector(prefix + "input_layernorm.weight", config.hidden_size);
    block.mlp_norm = vector(prefix + "post_attention_layernorm.weight", config.hidden_size);
    if (config.query_key_norm) {
      block.query_norm = vector(prefix + "self_attn.q_norm.weight", config.head_dim);
      block.key_norm = vector(prefix + "self_attn.k_norm.weight", config.head_dim);
    }
  }
  model.final_norm = vector("model.norm.weight", config.hidden_size);

  const std::vector<LinearId> linears = model.linears();
  parallel_for(static_cast<Index>(linears.size()), 0, [&](int, Index i) {
    const LinearId id = linears[static_cast<std::size_t>(i)];
    Linear& linear = model.linear(id);
    linear.weight = std::make_shared<DenseWeight>(pack(model.stored_weight(id)));
    const LinearShape shape = shape_of(config, id.linear);
    if (shape.bias) linear.bias = vector(id.name() + ".bias", shape.rows);
  });
  const char* head = config.tied_head ? kEmbeddingName : "lm_head.weight";
  model.head.weight =
      std::make_shared<DenseWeight>(pack(stored_matrix(*model.files, head, config.vocab_size, config.hidden_size)));
  // The table itself is read row by row from the file; here only to find out early that it is there.
  static_cast<void>(stored_matrix(*model.files, kEmbeddingName, config.vocab_size, config.hidden_size));
  return model;
}

void Model::embed(Token token, float* out) const {
  if (token < 0 || token >= config.vocab_size) {
    throw sinq::Error(sinq::Errc::kBadData, "token id " + std::to_string(token) + " is not below vocab_size " +
                                                std::to_string(config.vocab_size));
  }
  read_row(stored_matrix(*files, kEmbeddingName, config.vocab_size, config.hidden_size), token, out);
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
  const LinearShape shape = shape_of(config, id.linear);
  return stored_matrix(*files, id.name() + ".weight", shape.rows, shape.cols);
}

double Model::stored_bits_per_weight() const {
  double bits = 0, weights = 0;
  for (const LinearId id : linears()) {
    bits += 8.0 * static_cast<double>(files->at(id.name() + ".weight").bytes().size());
    weights += static_cast<double>(linear(id).weight->rows()) * static_cast<double>(linear(id).weight->cols());
  }
  return bits / weights;
}

}  // namespace llm
