#include "quantize/finish.hpp"

#include <sinq/io/checkpoint_plan.hpp>
#include <sinq/io/safetensors.hpp>

#include "llm/float8_config.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>

namespace convert {
namespace {

namespace fs = std::filesystem;

/// Weights in this or another form; none of them belongs into a folder of other weights.
bool is_weights(const fs::path& path) {
  static constexpr std::array<std::string_view, 9> kSuffixes{".safetensors", ".bin",  ".pt", ".pth",    ".gguf",
                                                             ".onnx",        ".ckpt", ".h5", ".msgpack"};
  const std::string name = path.filename().string();
  return std::ranges::find(kSuffixes, path.extension().string()) != kSuffixes.end() ||
         name.ends_with(".safetensors.index.json") || name.ends_with(".bin.index.json");
}

/// config.json with the entry by which engines know what the weights are; all else as it was, in its order.
std::string config_text(const fs::path& path, const llm::Json& settings) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw sinq::Error(sinq::Errc::kIo, path.string() + ": cannot be opened");
  nlohmann::ordered_json config = nlohmann::ordered_json::parse(file, nullptr, false);
  if (!config.is_object()) throw sinq::Error(sinq::Errc::kBadFile, path.string() + ": not a JSON object");
  llm::drop_float8_config(config, path.string());
  config["quantization_config"] = {{"quant_method", "sinq-packed"}, {"settings", settings}};
  return config.dump(2) + "\n";
}

}  // namespace

std::uint64_t SmallFiles::bytes() const {
  std::uint64_t sum = 0;
  for (const auto& [name, text] : texts) sum += text.size();
  for (const auto& [name, path] : copies) sum += fs::file_size(path);
  return sum;
}

SmallFiles small_files(const fs::path& model, const llm::Json& settings, const std::string& index) {
  SmallFiles out;
  std::error_code error;
  for (fs::directory_iterator it(model, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (!it->is_regular_file(error) || is_weights(it->path()) || name == "config.json" || name.starts_with("."))
      continue;
    out.copies.emplace(name, it->path());
  }
  if (error) throw sinq::Error(sinq::Errc::kIo, model.string() + ": cannot be read: " + error.message());
  out.texts.emplace("config.json", config_text(model / "config.json", settings));
  if (!index.empty()) out.texts.emplace(sinq::io::kIndexFile, index);
  return out;
}

void publish(const WorkFolder& work, const std::map<std::string, FinishedShard>& shards, const SmallFiles& small) {
  const std::string index(sinq::io::kIndexFile);
  const auto write_text = [&](const std::string& name) { write_atomically(work.out() / name, small.texts.at(name)); };
  for (const auto& [name, path] : small.copies) copy_atomically(path, work.out() / name);
  // What a reader would look at first goes before that to which it no longer fits.
  std::vector<std::string> old = work.model_files();
  std::stable_partition(old.begin(), old.end(), [&](const std::string& name) { return name == index; });
  for (const std::string& name : old) {
    if (!shards.contains(name) && !small.texts.contains(name)) fs::remove(work.out() / name);
  }
  write_text("config.json");
  for (const auto& [name, shard] : shards) work.publish(name, shard);
  if (small.texts.contains(index)) write_text(index);
  work.clean();
}

void refuse_unmeasured(const std::string& shard) {
  throw sinq::Error(sinq::Errc::kBadConfig, shard + " was made without --report: its errors are not known");
}

llm::Json report_of(const std::map<std::string, FinishedShard>& shards) {
  llm::Json layers = llm::Json::array(), identity;
  double weights = 0, bits = 0, square = 0, square_error = 0, max_abs = 0;
  std::uint64_t bytes = 0;
  for (const auto& [name, shard] : shards) {
    identity = shard.state["identity"];
    bytes += shard.state["bytes"].get<std::uint64_t>();
    if (shard.state["layers"].is_null()) {
      refuse_unmeasured(name);
    }
    for (const auto& layer : shard.state["layers"]) {
      const double count = layer["rows"].get<double>() * layer["cols"].get<double>();
      const double error = layer["mse"].get<double>() * count, relative = layer["relative_error"].get<double>();
      weights += count;
      bits += layer["bits_per_weight"].get<double>() * count;
      square_error += error;
      if (relative > 0) square += error / (relative * relative);
      max_abs = std::max(max_abs, layer["max_abs_error"].get<double>());
      layers.push_back(layer);
    }
  }
  llm::Json out{{"settings", identity["settings"]},
                {"version", identity["version"]},
                {"input", identity["input"]},
                {"totals",
                 {{"layers", layers.size()},
                  {"weights", weights},
                  {"bits_per_weight", weights > 0 ? bits / weights : 0.0},
                  {"mse", weights > 0 ? square_error / weights : 0.0},
                  {"relative_error", square > 0 ? std::sqrt(square_error / square) : 0.0},
                  {"max_abs_error", max_abs},
                  {"shard_bytes", bytes}}},
                {"layers", layers}};
  if (identity.contains("allocations")) out["allocations"] = identity["allocations"];
  return out;
}

std::string index_of(const std::map<std::string, FinishedShard>& shards) {
  sinq::io::CheckpointPlan plan;
  for (const auto& [name, shard] : shards) {
    const auto file = sinq::io::SafetensorsFile::open(shard.file);
    auto& content = plan.shards.emplace_back(sinq::io::ShardPlan{name, {}, {}}).content;
    content.tensors = file.tensors();
    content.header.resize(content.tensors.empty() ? 0 : content.tensors.front().begin);
  }
  return plan.index();
}

}  // namespace convert
