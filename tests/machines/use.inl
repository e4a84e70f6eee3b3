// What an engine does with the library. Plain arrays: what this file instantiates of the standard library must not be
// in the way of what the library does.
#include <sinq/measure_error.hpp>
#include <sinq/quantize.hpp>
#include <sinq/run.hpp>
#ifndef CORE_ONLY
#include <sinq/calibration.hpp>
#include <sinq/fold.hpp>
#include <sinq/io.hpp>
#include <sinq/quantizers/learned_codebook.hpp>
#endif

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <span>
#include <string>

namespace {

constexpr sinq::Index kRows = 48, kCols = 128;

struct Use {
  std::array<float, kRows * kCols> weights, decoded;
  std::array<float, 2 * kRows> y;

  [[nodiscard]] sinq::MatrixView matrix() const { return sinq::MatrixView::row_major(weights.data(), kRows, kCols); }

  /// Quantizes, decodes and multiplies; returns the relative error.
  double core() {
    for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = std::sin(static_cast<float>(i * i % 1009));
    const sinq::Config<> config;
    sinq::validate(config);
    const sinq::QuantizedMatrix q = sinq::quantize(matrix(), config);
    sinq::dequantize_into(q, decoded);
    const sinq::RepackedMatrix repacked = sinq::repack(q);
    const std::span<const float> x = std::span<const float>(weights).first(2 * kCols);
    sinq::matvec(q, sinq::Activations(x.data(), 1, kCols), std::span(y).first(kRows));
    sinq::matvec(repacked, sinq::Activations(x.data(), 1, kCols), std::span(y).first(kRows));
    sinq::matmul(repacked, sinq::Activations(x.data(), 2, kCols), y);
    return sinq::measure_error(matrix(), q).relative_frobenius;
  }

  /// The texts of errors are made of strings and numbers.
  void refuse() {
    weights[5] = INFINITY;
    try {
      static_cast<void>(sinq::quantize(matrix()));
      std::puts("Inf was accepted");
    } catch (const sinq::Error& error) {
      std::puts(error.what());
    }
    weights[5] = 0.0F;
  }

#ifndef CORE_ONLY
  double learned() {
    const sinq::Config<sinq::LearnedCodebook> config{.quantizer = sinq::LearnedCodebook(3)};
    const sinq::QuantizedMatrix q = sinq::quantize(matrix(), config);
    return sinq::measure_error(matrix(), q).relative_frobenius;
  }

  double calibration() {
    sinq::ActivationStats stats(kCols);
    stats.add(matrix());
    sinq::QuantizedMatrix q = sinq::quantize_awq(matrix(), stats, sinq::Config<>{});
    sinq::gptq(matrix(), stats, q);
    return sinq::measure_error(matrix(), q).relative_frobenius;
  }

  double folding() {
    const std::array<sinq::fold::TensorShape, 2> tensors{{{"norm", {kCols}}, {"w", {kRows, kCols}}}};
    const sinq::fold::Plan plan =
        sinq::fold::make_plan({{.channels = kCols, .producers = {{"norm"}}, .consumers = {{"w"}}}}, tensors);
    const auto factors = sinq::fold::find_factors(plan, [&](const std::string&) { return matrix(); });
    return factors.find("norm") == nullptr ? 0.0 : 1.0;
  }

  double gguf(const std::filesystem::path& folder) {
    sinq::io::GgufMetadata metadata;
    metadata.add("name", "w");
    const auto path = folder / "w.gguf";
    sinq::io::GgufWriter writer(path, sinq::io::plan_gguf(metadata, {{"w", sinq::io::GgufType::kF32, {kRows, kCols}}}));
    writer.write(std::as_bytes(std::span(weights)));
    writer.commit();
    const auto read = sinq::io::GgufFile::open(path);
    return static_cast<double>(read.tensors().size());
  }

  double safetensors(const std::filesystem::path& folder) {
    const auto path = folder / "w.safetensors";
    const sinq::QuantizedMatrix q = sinq::quantize(matrix());
    const std::array<sinq::io::NamedMatrix, 1> named{{{"w", q}}};
    sinq::io::write_quantized(path, named);
    const auto file = sinq::io::SafetensorsFile::open(path);
    sinq::dequantize_into(file.quantized("w"), decoded);
    return static_cast<double>(file.tensors().size());
  }
#endif

  int all(const char* name, const char* folder, bool with_json) {
    try {
      std::printf("%s: %.4f\n", name, core());
      refuse();
#ifndef CORE_ONLY
      std::printf("%s: %.4f %.4f %g %g\n", name, learned(), calibration(), folding(), gguf(folder));
      if (with_json) std::printf("%s: %g tensors\n", name, safetensors(folder));
#else
      static_cast<void>(folder);
      static_cast<void>(with_json);
#endif
    } catch (const std::exception& error) {
      std::fprintf(stderr, "%s: %s\n", name, error.what());
      return 1;
    }
    return 0;
  }
};

Use use;

}  // namespace
