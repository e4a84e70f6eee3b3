#pragma once

#include <sinq/half.hpp>
#include <sinq/io/safetensors_writer.hpp>

#include "llm/json_file.hpp"
#include "support/generators.hpp"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <string>
#include <vector>

namespace llm::test {

using sinq::Index;
using sinq::io::DType;

/// A folder that is removed at the end of the test.
class TemporaryFolder {
 public:
  explicit TemporaryFolder(const std::string& name)
      : path_(std::filesystem::temp_directory_path() /
              ("sinq_llm_" + name + "_" + std::to_string(reinterpret_cast<std::uintptr_t>(this)) + "_" +
               std::to_string(sinq::test::Random(std::random_device{}()).bits()))) {
    std::filesystem::create_directories(path_);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline void write_text(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

/// A decoder with random weights, small enough to be computed by hand, in the form of a Hugging Face folder.
struct TinyModel {
  struct Tensor {
    std::vector<Index> shape;
    std::vector<double> values;  ///< as they are after rounding to `dtype`
    DType dtype = DType::kF32;
  };

  Json config;
  std::map<std::string, Tensor> tensors;

  [[nodiscard]] Index size(const char* key) const { return config.at(key).get<Index>(); }
  [[nodiscard]] bool flag(const char* key) const { return config.value(key, false); }
};

/// The nearest value that `dtype` has.
inline double rounded(double value, DType dtype) {
  const auto as_float = static_cast<float>(value);
  switch (dtype) {
    case DType::kF16:
      return static_cast<double>(sinq::half_to_float(sinq::float_to_half(as_float)));
    case DType::kBf16:
      return static_cast<double>(sinq::bfloat16_to_float(sinq::float_to_bfloat16(as_float)));
    case DType::kF64:
      return value;
    default:
      return static_cast<double>(as_float);
  }
}

/// Config of a model with two layers, six query heads on two KV heads, 24 hidden channels.
inline Json tiny_config(const std::string& architecture) {
  return {{"architectures", {architecture}},
          {"hidden_act", "silu"},
          {"vocab_size", 37},
          {"hidden_size", 24},
          {"intermediate_size", 40},
          {"num_hidden_layers", 2},
          {"num_attention_heads", 6},
          {"num_key_value_heads", 2},
          {"head_dim", 8},
          {"max_position_embeddings", 64},
          {"rms_norm_eps", 1e-5},
          {"rope_theta", 500.0},
          {"tie_word_embeddings", true},
          {"eos_token_id", nullptr}};
}

/// Random tensors for `config`. Types: cycled through, tensor by tensor.
inline TinyModel make_tiny_model(const Json& config, std::uint64_t seed,
                                 const std::vector<DType>& dtypes = {DType::kF32}) {
  TinyModel model{config, {}};
  sinq::test::Random random(seed);
  std::size_t next = 0;
  const auto add = [&](const std::string& name, std::vector<Index> shape, double mean, double deviation) {
    TinyModel::Tensor tensor{std::move(shape), {}, dtypes[next++ % dtypes.size()]};
    Index count = 1;
    for (const Index extent : tensor.shape) count *= extent;
    for (Index i = 0; i < count; ++i) {
      tensor.values.push_back(rounded(mean + deviation * random.gaussian(), tensor.dtype));
    }
    model.tensors.emplace(name, std::move(tensor));
  };
  const Index hidden = model.size("hidden_size"), inner = model.size("intermediate_size");
  const Index query = model.size("num_attention_heads") * model.size("head_dim");
  const Index key = model.size("num_key_value_heads") * model.size("head_dim");
  const auto add_linear = [&](const std::string& name, Index rows, Index cols, bool bias) {
    add(name + ".weight", {rows, cols}, 0.0, 1.5 / std::sqrt(static_cast<double>(cols)));
    if (bias) add(name + ".bias", {rows}, 0.0, 0.5);
  };
  add("model.embed_tokens.weight", {model.size("vocab_size"), hidden}, 0.0, 1.0);
  for (Index layer = 0; layer < model.size("num_hidden_layers"); ++layer) {
    const std::string prefix = "model.layers." + std::to_string(layer) + ".";
    add(prefix + "input_layernorm.weight", {hidden}, 1.0, 0.2);
    add(prefix + "post_attention_layernorm.weight", {hidden}, 1.0, 0.2);
    if (config.at("architectures")[0] == "Qwen3ForCausalLM") {
      add(prefix + "self_attn.q_norm.weight", {model.size("head_dim")}, 1.0, 0.2);
      add(prefix + "self_attn.k_norm.weight", {model.size("head_dim")}, 1.0, 0.2);
    }
    const bool attention_bias = model.flag("attention_bias"), mlp_bias = model.flag("mlp_bias");
    add_linear(prefix + "self_attn.q_proj", query, hidden, attention_bias);
    add_linear(prefix + "self_attn.k_proj", key, hidden, attention_bias);
    add_linear(prefix + "self_attn.v_proj", key, hidden, attention_bias);
    add_linear(prefix + "self_attn.o_proj", hidden, query, attention_bias);
    add_linear(prefix + "mlp.gate_proj", inner, hidden, mlp_bias);
    add_linear(prefix + "mlp.up_proj", inner, hidden, mlp_bias);
    add_linear(prefix + "mlp.down_proj", hidden, inner, mlp_bias);
  }
  add("model.norm.weight", {hidden}, 1.0, 0.2);
  if (!model.flag("tie_word_embeddings")) add("lm_head.weight", {model.size("vocab_size"), hidden}, 0.0, 0.3);
  return model;
}

inline std::vector<std::byte> stored_bytes(const TinyModel::Tensor& tensor) {
  std::vector<std::byte> out;
  const auto append = [&](auto value) {
    const auto* p = reinterpret_cast<const std::byte*>(&value);
    out.insert(out.end(), p, p + sizeof value);
  };
  for (const double value : tensor.values) {
    const auto as_float = static_cast<float>(value);
    switch (tensor.dtype) {
      case DType::kF16:
        append(sinq::float_to_half(as_float));
        break;
      case DType::kBf16:
        append(sinq::float_to_bfloat16(as_float));
        break;
      case DType::kF64:
        append(value);
        break;
      case DType::kI32:
        append(static_cast<std::int32_t>(value));
        break;
      case DType::kI64:
        append(static_cast<std::int64_t>(value));
        break;
      default:
        append(as_float);
    }
  }
  return out;
}

/// Writes one safetensors file with `tensors`.
inline void write_tensors(const std::filesystem::path& path, const std::map<std::string, TinyModel::Tensor>& tensors) {
  std::vector<std::vector<std::byte>> bytes;
  std::vector<sinq::io::TensorData> data;
  bytes.reserve(tensors.size());
  for (const auto& [name, tensor] : tensors) {
    bytes.push_back(stored_bytes(tensor));
    data.push_back({name, tensor.dtype, tensor.shape, bytes.back()});
  }
  sinq::io::write_safetensors(path, data);
}

/// Writes config.json and the weights: one file, or several with an index.
inline void write_model(const TinyModel& model, const std::filesystem::path& folder, std::size_t shards = 1) {
  write_text(folder / "config.json", model.config.dump());
  if (shards == 1) {
    write_tensors(folder / "model.safetensors", model.tensors);
    return;
  }
  std::vector<std::map<std::string, TinyModel::Tensor>> parts(shards);
  Json weight_map;
  std::size_t next = 0;
  for (const auto& [name, tensor] : model.tensors) {
    const std::size_t shard = next++ % shards;
    parts[shard].emplace(name, tensor);
    weight_map[name] = "part-" + std::to_string(shard) + ".safetensors";
  }
  for (std::size_t i = 0; i < shards; ++i) {
    write_tensors(folder / ("part-" + std::to_string(i) + ".safetensors"), parts[i]);
  }
  write_text(folder / "model.safetensors.index.json", Json{{"weight_map", weight_map}}.dump());
}

}  // namespace llm::test
