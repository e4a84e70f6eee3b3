// Quantizes every linear layer of a Hugging Face checkpoint with several methods, and prints what each costs and keeps.
#include <sinq/io.hpp>
#include <sinq/parallel/thread_pool.hpp>
#include <sinq/sinq.hpp>

#include "common/choice.hpp"
#include "common/command_line.hpp"
#include "common/float_model.hpp"
#include "common/named_error.hpp"
#include "quantize/kept_tensors.hpp"
#include "quantize/linear_layers.hpp"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace {

enum class Method { kRtn, kSinq, kHqq, kNormalFloat };

constexpr std::array kMethods{Method::kRtn, Method::kSinq, Method::kHqq, Method::kNormalFloat};

struct Settings {
  std::filesystem::path model;
  std::vector<int> bits{4, 3, 2};
  sinq::Index group_size = 64;
  sinq::AuxFormat aux = sinq::AuxFormat::kF16;
  sinq::Tiling tiling = sinq::Tiling::kColumns;
  sinq::Index threads = 1;
  bool only_totals = false;
};

/// One layer under one method.
struct Result {
  sinq::ErrorReport error;
  double seconds = 0.0;
};

/// Sums over layers.
struct Total {
  double weights = 0.0;
  double stored_bits = 0.0;
  double square = 0.0;        ///< of the weights
  double square_error = 0.0;  ///< of their differences
  double imbalance_before = 0.0;
  double imbalance_after = 0.0;
  double seconds = 0.0;

  void add(const Result& result, double count) {
    weights += count;
    stored_bits += result.error.bits_per_weight * count;
    const double error = result.error.mse * count;
    square_error += error;
    const double relative = result.error.relative_frobenius;
    square += relative > 0.0 ? error / (relative * relative) : 0.0;
    imbalance_before += result.error.imbalance_before * count;
    imbalance_after += result.error.imbalance_after * count;
    seconds += result.seconds;
  }
};

std::string label(Method method, int bits) {
  switch (method) {
    case Method::kRtn:
      return "RTN";
    case Method::kSinq:
      return "SINQ";
    case Method::kHqq:
      return "HQQ";
    case Method::kNormalFloat:
      return "NF" + std::to_string(bits);
  }
  return "?";
}

/// Quantizes `w`; nothing if the method has no such width.
std::optional<Result> run(const Settings& settings, const sinq::ThreadPool& pool, Method method, int bits,
                          const sinq::MatrixView& w) {
  const auto measure = [&](auto config) {
    config.group_size = settings.group_size;
    config.aux = settings.aux;
    config.tiling = settings.tiling;
    const auto start = std::chrono::steady_clock::now();
    const sinq::QuantizedMatrix q = sinq::quantize(w, config, {}, pool);
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
    return Result{sinq::measure_error(w, q), time.count()};
  };
  using sinq::Identity;
  switch (method) {
    case Method::kRtn:
      return measure(sinq::Config<sinq::Uniform, Identity>{.quantizer = {.bits = bits}});
    case Method::kSinq:
      return measure(sinq::Config<>{.quantizer = {.bits = bits}});
    case Method::kHqq:
      return measure(sinq::Config<sinq::Hqq, Identity>{.quantizer = {.bits = bits}});
    case Method::kNormalFloat:
      if (bits == 4) return measure(sinq::Config<sinq::Codebook, Identity>{.quantizer = sinq::codebooks::kNf4});
      if (bits == 3) return measure(sinq::Config<sinq::Codebook, Identity>{.quantizer = sinq::codebooks::kNf3});
      return std::nullopt;
  }
  return std::nullopt;
}

/// "qwen3, 4 layers", from config.json.
std::string describe_model(const std::filesystem::path& folder) {
  const auto path = folder / "config.json";
  const auto file = sinq::io::MappedFile::open(path);
  const auto* text = reinterpret_cast<const char*>(file.bytes().data());
  const auto config = nlohmann::json::parse(text, text + file.bytes().size(), nullptr, false);
  if (!config.is_object()) {
    throw sinq::Error(sinq::Errc::kBadFile, path.string() + ": not a JSON object");
  }
  const auto type = config.find("model_type");
  const auto layers = config.find("num_hidden_layers");
  std::string out = type != config.end() && type->is_string() ? type->get<std::string>() : "unknown architecture";
  if (layers != config.end() && layers->is_number_unsigned()) out += ", " + layers->dump() + " layers";
  return out;
}

void print_row(Method method, int bits, double relative_error, double before, double after, double bits_per_weight,
               double weights_per_second) {
  std::printf("  %-5s %4d   %10.4f   %8.2f -> %-8.2f %11.3f   %10.1f\n", label(method, bits).c_str(), bits,
              relative_error, before, after, bits_per_weight, weights_per_second / 1e6);
}

void print_missing(Method method, int bits) {
  std::printf("  %-5s %4d   %10s\n", label(method, bits).c_str(), bits, "n/a");
}

void print_header() {
  std::printf("  %-5s %4s   %10s   %20s %11s   %10s\n", "", "bits", "rel. error", "imbalance         ", "bits/weight",
              "Mweights/s");
}

void quantize_model(const Settings& settings) {
  const auto checkpoint = sinq::io::Checkpoint::open(settings.model);
  common::require_floats(checkpoint, settings.model);
  std::printf("%s: %s, %zu tensors in %zu file(s)\n", settings.model.string().c_str(),
              sinq::io::printable(describe_model(settings.model)).c_str(), checkpoint.tensors().size(),
              checkpoint.files().size());
  const sinq::ThreadPool pool(settings.threads);
  std::map<std::pair<int, Method>, Total> totals;
  int layers = 0;
  convert::KeptTensors kept;
  for (const auto& tensor : checkpoint.tensors()) {
    if (std::string reason = convert::reason_to_keep(tensor.info); !reason.empty()) {
      kept.add(tensor.info, std::move(reason));
      continue;
    }
    ++layers;
    const sinq::MatrixView w = tensor.matrix_view();
    const auto run_named = [&](Method method, int bits) {
      return common::with_tensor_name(tensor, [&] { return run(settings, pool, method, bits, w); });
    };
    // Loads the pages, so that the first method is timed as the others; and refuses what no method can quantize.
    run_named(Method::kRtn, 8);
    if (!settings.only_totals) {
      std::printf("\n%s [%td x %td] %s\n", sinq::io::printable(tensor.info.name).c_str(), w.rows, w.cols,
                  std::string(name(tensor.info.dtype)).c_str());
      print_header();
    }
    for (const int bits : settings.bits) {
      for (const Method method : kMethods) {
        const auto result = run_named(method, bits);
        const double count = static_cast<double>(w.rows) * static_cast<double>(w.cols);
        if (result) totals[{bits, method}].add(*result, count);
        if (settings.only_totals) continue;
        if (result) {
          const auto& error = result->error;
          print_row(method, bits, error.relative_frobenius, error.imbalance_before, error.imbalance_after,
                    error.bits_per_weight, count / result->seconds);
        } else {
          print_missing(method, bits);
        }
      }
    }
  }
  if (layers == 0) kept.refuse(settings.model.string());
  if (const std::string text = kept.unreadable_text(); !text.empty()) std::printf("\n%s", text.c_str());
  std::printf("\nTotal of %d linear layers (%zu tensors stay as they are)\n", layers,
              checkpoint.tensors().size() - static_cast<std::size_t>(layers));
  print_header();
  for (const int bits : settings.bits) {
    for (const Method method : kMethods) {
      const auto at = totals.find({bits, method});
      if (at == totals.end()) {
        print_missing(method, bits);
        continue;
      }
      const Total& total = at->second;
      print_row(method, bits, std::sqrt(total.square_error / total.square), total.imbalance_before / total.weights,
                total.imbalance_after / total.weights, total.stored_bits / total.weights,
                total.weights / total.seconds);
    }
  }
}

const common::Names<sinq::AuxFormat> kAuxFormats{{"f32", sinq::AuxFormat::kF32},
                                                 {"f16", sinq::AuxFormat::kF16},
                                                 {"u8", sinq::AuxFormat::kU8},
                                                 {"u6", sinq::AuxFormat::kU6}};
const common::Names<sinq::Tiling> kTilings{{"columns", sinq::Tiling::kColumns}, {"square", sinq::Tiling::kSquare}};

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "Quantizes every linear layer of a Hugging Face checkpoint with RTN, SINQ, HQQ and NormalFloat.\n"
      "Prints relative error, imbalance before -> after normalization, stored bits per weight and speed,\n"
      "for each layer and in total (imbalance: mean over weights). Writes nothing.",
      "quantize_model"};
  Settings settings;
  app.add_option("MODEL_DIR", settings.model, "Folder with config.json and model.safetensors (or an index and shards)")
      ->required();
  app.add_option("--bits", settings.bits, "Bits per code, e.g. 4,3,2")
      ->delimiter(',')
      ->check(CLI::Range(1, 8))
      ->capture_default_str();
  app.add_option("--group-size", settings.group_size, "Columns per scale, a multiple of 8")->capture_default_str();
  common::add_choice(app, "--aux", settings.aux, kAuxFormats, "Storage of scales and zero points (default f16)");
  common::add_choice(app, "--tiling", settings.tiling, kTilings,
                     "What is balanced at once: strips of columns or squares (default columns)");
  app.add_option("--threads", settings.threads, "Threads, 0 = as many as the machine has")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  app.add_flag("--only-totals", settings.only_totals, "Leave the layers out");
  return common::run_main(app, argc, argv, [&] { quantize_model(settings); });
}
