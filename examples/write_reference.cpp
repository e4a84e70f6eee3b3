// Quantizes the linear layers of a Hugging Face model and writes a folder that huawei-csl/SINQ and transformers load.
#include <sinq/io.hpp>
#include <sinq/parallel/thread_pool.hpp>
#include <sinq/sinq.hpp>

#include "common/choice.hpp"
#include "common/command_line.hpp"
#include "common/float_model.hpp"
#include "common/named_error.hpp"
#include "common/output_folder.hpp"
#include "llm/float8_config.hpp"
#include "quantize/kept_tensors.hpp"
#include "quantize/linear_layers.hpp"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

using sinq::Index;
using sinq::io::ReferenceAux;
using sinq::io::TensorGroup;

struct Settings {
  std::filesystem::path model, out;
  common::Existing existing = common::Existing::kRefused;
  int bits = 4;
  Index group_size = 64;
  sinq::Tiling tiling = sinq::Tiling::kColumns;
  ReferenceAux aux = ReferenceAux::kF16;
  std::uint64_t max_shard_bytes = std::uint64_t{4} << 30;
};

sinq::Config<> config_of(const Settings& settings) {
  sinq::Config<> config{.quantizer = {.bits = settings.bits}};
  config.group_size = settings.group_size;
  config.tiling = settings.tiling;
  return config;
}

std::string layer_name(const sinq::io::TensorInfo& info) {
  return info.name.substr(0, info.name.size() - std::string_view(".weight").size());
}

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// The frequencies of plain rotary embeddings, a buffer that the reference's loader wants in the file; nothing for a
/// model that does not say what they are.
std::vector<float> rotary_frequencies(std::string_view config) {
  const auto json = nlohmann::json::parse(config, nullptr, false);
  const auto number = [](const nlohmann::json& object, const char* key) {
    return object.is_object() && object.contains(key) && object[key].is_number() ? object[key].get<double>() : 0.0;
  };
  double theta = number(json, "rope_theta"), width = number(json, "head_dim");
  if (json.is_object() && json.contains("rope_parameters")) theta = number(json["rope_parameters"], "rope_theta");
  if (width == 0.0 && number(json, "num_attention_heads") > 0.0) {
    width = number(json, "hidden_size") / number(json, "num_attention_heads");
  }
  std::vector<float> out;
  if (theta <= 0.0) return out;
  for (double i = 0.0; i < width; i += 2.0) out.push_back(static_cast<float>(std::pow(theta, -i / width)));
  return out;
}

/// Throws for a model that is quantized in another way than by 8-bit floats, which are read as what they stand for.
std::string float_config(const std::filesystem::path& path) {
  const auto file = sinq::io::MappedFile::open(path);
  auto config = nlohmann::ordered_json::parse(text_of(file.bytes()), nullptr, false);
  llm::drop_float8_config(config, path.string());
  return config.dump();
}

void write_file(const std::filesystem::path& path, std::string_view text) {
  sinq::io::AtomicFile file(path);
  file.write(std::as_bytes(std::span(text)));
  file.commit();
}

void run(const Settings& settings) {
  common::require_new_folder(settings.out, settings.existing, {settings.model});
  const auto model = sinq::io::Checkpoint::open(settings.model);
  common::require_floats(model, settings.model);
  const std::string model_config = float_config(settings.model / "config.json");
  const sinq::Config<> config = config_of(settings);
  constexpr const char* kRotary = "model.rotary_emb.inv_freq";
  const auto rotary = rotary_frequencies(model_config);

  // Everything's place follows from shapes alone.
  std::vector<TensorGroup> groups;
  convert::KeptTensors kept;
  bool is_all_kept = true;
  for (const auto& tensor : model.tensors()) {
    if (std::string reason = convert::reason_to_keep(tensor.info); reason.empty()) {
      is_all_kept = false;
      const auto layout = sinq::layout_for(config, tensor.info.shape[0], tensor.info.shape[1]);
      groups.push_back({reference_tensor_infos(layer_name(tensor.info), layout, settings.aux), {}});
    } else {
      groups.push_back({{plain_info(tensor)}, {}});
      kept.add(tensor.info, std::move(reason));
    }
  }
  if (is_all_kept) kept.refuse(settings.model.string());
  std::printf("%s", kept.unreadable_text().c_str());
  if (!rotary.empty() && model.find(kRotary) == nullptr) {
    groups.push_back({{{kRotary, sinq::io::DType::kF32, {static_cast<Index>(rotary.size())}}}, {}});
  }
  const auto plan = sinq::io::plan_checkpoint(groups, settings.max_shard_bytes, {{"format", "pt"}});

  sinq::io::AtomicFolder out(settings.out, settings.existing);
  sinq::io::CheckpointWriter writer(out.path(), plan);
  const sinq::ThreadPool pool(std::max(1, static_cast<int>(std::thread::hardware_concurrency())));
  sinq::io::ReferenceSidecar sidecar;
  for (const auto& tensor : model.tensors()) {
    if (!convert::is_linear_layer(tensor.info)) {
      for_each_plain_part(tensor, [&](std::uint64_t at, std::span<const std::byte> bytes) {
        writer.write(tensor.info.name, at, bytes);
      });
      continue;
    }
    const auto q =
        common::with_tensor_name(tensor, [&] { return sinq::quantize(tensor.matrix_view(), config, {}, pool); });
    const auto layer = reference_layer_data(layer_name(tensor.info), q, settings.aux);
    for (const auto& part : layer.tensors) writer.write(part.info.name, part.bytes);
    sidecar.emplace(layer_name(tensor.info), layer.meta);
    std::printf("%s\n", sinq::io::printable(tensor.info.name).c_str());
  }
  if (!rotary.empty() && model.find(kRotary) == nullptr) writer.write(kRotary, std::as_bytes(std::span(rotary)));
  writer.finish();
  for (const auto& entry : std::filesystem::directory_iterator(settings.model)) {
    const auto name = entry.path().filename();
    const bool is_text = name.extension() == ".json" || name.extension() == ".txt" || name.extension() == ".model";
    if (!is_text || name == "config.json" || name == sinq::io::kIndexFile) continue;
    std::filesystem::copy_file(entry.path(), out.path() / name);
  }
  // The index says that the folder is whole, so it comes last. The reference wants one even of a single file.
  write_file(out.path() / sinq::io::kReferenceSidecarName, reference_sidecar_json(sidecar));
  write_file(out.path() / "config.json", sinq::io::reference_config_json(model_config, sidecar.begin()->second));
  write_file(out.path() / sinq::io::kIndexFile, plan.full_index());
  out.commit();
  std::printf("%zu layers, %llu bytes of tensors\n", sidecar.size(),
              static_cast<unsigned long long>(plan.tensor_bytes()));
}

const common::Names<sinq::Tiling> kTilings{{"1D", sinq::Tiling::kColumns}, {"2D", sinq::Tiling::kSquare}};
const common::Names<ReferenceAux> kAuxFormats{
    {"f16", ReferenceAux::kF16}, {"f32", ReferenceAux::kF32}, {"quantAux", ReferenceAux::kCoded}};

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  CLI::App app("Quantizes a Hugging Face model into the layout of huawei-csl/SINQ", "write_reference");
  app.add_option("MODEL_DIR", settings.model, "folder with config.json and safetensors")->required();
  app.add_option("-o,--output", settings.out, "folder to write")->required()->option_text("OUT_DIR REQUIRED");
  common::add_force_flag(app, settings.existing);
  app.add_option("--bits", settings.bits, "bits of a code")->check(CLI::Range(1, 8))->capture_default_str();
  app.add_option("--group-size", settings.group_size, "columns that share a scale")->capture_default_str();
  common::add_choice(app, "--tiling", settings.tiling, kTilings, "strips or squares (default 1D)");
  common::add_choice(app, "--aux", settings.aux, kAuxFormats, "how scales and zero points are stored (default f16)");
  return common::run_main(app, argc, argv, [&] { run(settings); });
}
