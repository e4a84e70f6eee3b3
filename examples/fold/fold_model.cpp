#include "fold/fold_model.hpp"

#include <sinq/fold/rounding.hpp>
#include <sinq/io/checkpoint_writer.hpp>
#include <sinq/io/plain_tensor.hpp>

#include "common/float_model.hpp"
#include "fold/architecture_json.hpp"
#include "llm/float8_config.hpp"

#include <algorithm>
#include <cstring>
#include <fstream>

namespace fold_program {
namespace {

namespace fs = std::filesystem;
using sinq::Errc;
using sinq::Error;
using sinq::Index;
using sinq::io::DType;

/// `count` floats of any type as doubles.
void read_doubles(sinq::ScalarType type, const std::byte* from, std::span<double> out) {
  const auto each = [&](auto stored, auto&& decode) {
    for (double& value : out) {
      std::memcpy(&stored, from, sizeof stored);
      from += sizeof stored;
      value = static_cast<double>(decode(stored));
    }
  };
  const auto same = [](auto x) { return x; };
  switch (type) {
    case sinq::ScalarType::kF16:
      return each(std::uint16_t{}, sinq::half_to_float);
    case sinq::ScalarType::kBf16:
      return each(std::uint16_t{}, sinq::bfloat16_to_float);
    case sinq::ScalarType::kF32:
      return each(float{}, same);
    case sinq::ScalarType::kF64:
      return each(double{}, same);
  }
}

/// The type a tensor is written in: only floats change theirs, and 8-bit ones always do.
DType written_type(const sinq::io::Checkpoint::Tensor& tensor, const WriteOptions& options) {
  const DType plain = plain_info(tensor).dtype;
  return sinq::io::scalar_type(plain) ? options.dtype.value_or(plain) : plain;
}

/// Writes one tensor, a block of rows at a time.
class TensorWriter {
 public:
  TensorWriter(sinq::io::CheckpointWriter& out, const WriteOptions& options) : out_(out), options_(options) {}

  void write(const sinq::io::Checkpoint::Tensor& tensor, const sinq::fold::Factors* factors) {
    const auto& info = tensor.info;
    const DType type = written_type(tensor, options_);
    if (factors == nullptr && type == info.dtype) {
      sinq::io::require_finite(tensor.file, info);
      return out_.write(info.name, tensor.bytes());
    }
    const auto from = tensor.float8 == nullptr ? sinq::io::scalar_type(info.dtype) : sinq::ScalarType::kF32;
    const auto to = sinq::io::scalar_type(type);
    if (!from || !to) {
      throw Error(Errc::kUnsupported, "tensor " + sinq::io::detail::name_text(info.name) + " has type " +
                                          std::string(sinq::io::name(info.dtype)) + ": folding it is not supported");
    }
    const std::span<const std::byte> bytes = tensor.bytes();
    const Index rows = info.shape.empty() ? 1 : info.shape[0];
    const Index total = static_cast<Index>(bytes.size()) / sinq::io::dtype_bytes(info.dtype);
    const Index cols = rows == 0 ? 0 : total / rows;
    const Index step = std::max<Index>(1, kValues / std::max<Index>(1, cols));
    sinq::fold::RangeReport report;
    for (Index r = 0; r < rows; r += step) {
      const Index count = std::min(step, rows - r);
      values_.resize(static_cast<std::size_t>(count * cols));
      rounded_.resize(values_.size() * static_cast<std::size_t>(sinq::scalar_bytes(*to)));
      const std::byte* stored = bytes.data() + r * cols * sinq::io::dtype_bytes(info.dtype);
      if (tensor.float8 != nullptr) {
        floats_.resize(values_.size());
        read_float8_rows(tensor, {r, r + count}, floats_);
        stored = std::as_bytes(std::span(floats_)).data();
      }
      read_doubles(*from, stored, values_);
      const auto first = static_cast<std::uint64_t>(r * cols);
      if (const auto bad = sinq::io::find_nonfinite(DType::kF64, std::as_bytes(std::span(values_)))) {
        sinq::io::detail::refuse_element(tensor.file, info, first + bad->at, bad->name);
      }
      if (factors != nullptr) factors->apply({r, r + count}, cols, values_.data());
      sinq::fold::round_to(*to, values_, rounded_.data(), report);
      if (const auto bad = sinq::io::find_nonfinite(type, rounded_)) {
        sinq::io::detail::refuse_element(tensor.file, info, first + bad->at, values_[bad->at],
                                         factors == nullptr ? "" : " when folded", ", beyond the range of ",
                                         sinq::io::name(type));
      }
      out_.write(info.name, first * static_cast<std::uint64_t>(sinq::scalar_bytes(*to)), rounded_);
    }
    underflowed_ += report.underflowed;
  }

  [[nodiscard]] Index underflowed() const noexcept { return underflowed_; }

 private:
  static constexpr Index kValues = 1 << 18;  // at a time: 2 MB of doubles

  sinq::io::CheckpointWriter& out_;
  const WriteOptions& options_;
  std::vector<float> floats_;
  std::vector<double> values_;
  std::vector<std::byte> rounded_;
  Index underflowed_ = 0;
};

sinq::fold::MatrixLookup lookup_in(const sinq::io::Checkpoint& files) {
  return [&files](const std::string& tensor) { return files.at(tensor).matrix_view(); };
}

/// Whether a file of a model's folder holds weights, in this or another form: its copy would not be the folded model.
bool holds_weights(const fs::path& file) {
  const std::string name = file.filename().string(), extension = file.extension().string();
  if (name.ends_with(".index.json")) return true;
  if (extension == ".safetensors") return name.starts_with("model") || name.starts_with("consolidated");
  for (const char* other : {".bin", ".pt", ".pth", ".gguf", ".onnx", ".h5", ".msgpack", ".partial"}) {
    if (extension == other) return true;
  }
  return false;
}

/// All other files; config.json with the new type, where it says one.
void copy_other_files(const Source& source, const fs::path& to, const WriteOptions& options) {
  for (const auto& entry : fs::directory_iterator(source.folder)) {
    if (!entry.is_regular_file() || holds_weights(entry.path())) continue;
    const auto& files = source.files.files();
    const bool shard = std::any_of(files.begin(), files.end(), [&](const auto& file) {
      return fs::path(file.name()).filename() == entry.path().filename();
    });
    if (!shard) fs::copy_file(entry.path(), to / entry.path().filename());
  }
  std::ifstream file(source.folder / "config.json", std::ios::binary);
  auto config = nlohmann::ordered_json::parse(file);
  const bool was_float8 = config.contains("quantization_config");
  if (!options.dtype && !was_float8) return;
  llm::drop_float8_config(config, (source.folder / "config.json").string());
  for (const char* key : {"dtype", "torch_dtype"}) {
    if (!config.contains(key) || !options.dtype) continue;
    config[key] = *options.dtype == DType::kF16 ? "float16" : *options.dtype == DType::kBf16 ? "bfloat16" : "float32";
  }
  const std::string text = config.dump(2) + "\n";
  sinq::io::AtomicFile written(to / "config.json");
  written.write(std::as_bytes(std::span(text)));
  written.commit();
}

}  // namespace

Source Source::open(const fs::path& folder) {
  Source out{folder, sinq::io::Checkpoint::open(folder), {}};
  common::require_floats(out.files, folder);
  std::vector<sinq::fold::TensorShape> shapes;
  for (const auto& tensor : out.files.tensors()) shapes.push_back({tensor.info.name, tensor.info.shape});
  try {
    out.plan = sinq::fold::make_plan(architecture_from_json(llm::read_json(folder / "config.json")), shapes);
  } catch (const Error& e) {
    throw Error(e.code(), folder.string() + ": " + e.what());
  }
  return out;
}

sinq::fold::MatrixLookup Source::lookup() const { return lookup_in(files); }

sinq::fold::FactorMap find_factors(const sinq::io::Checkpoint& files, const sinq::fold::Plan& plan,
                                   const sinq::fold::ScaleOptions& options) {
  const auto release = [&](const sinq::fold::Edge& edge) {
    for (const auto& consumer : edge.consumers) files.at(consumer.tensor).release();
  };
  return sinq::fold::find_factors(plan, lookup_in(files), options, release);
}

Index write_folded(const Source& source, const sinq::fold::FactorMap& factors, sinq::io::AtomicFolder& out,
                   const WriteOptions& options) {
  std::vector<sinq::io::TensorGroup> groups;
  for (const auto& tensor : source.files.tensors()) {
    const auto& info = tensor.info;
    groups.push_back({{{.name = info.name, .dtype = written_type(tensor, options), .shape = info.shape}}, {}});
  }
  const auto& metadata = source.files.files().front().metadata();
  const auto plan = sinq::io::plan_checkpoint(groups, options.max_shard_bytes, metadata);
  sinq::io::CheckpointWriter writer(out.path(), plan);
  TensorWriter tensors(writer, options);
  for (const auto& tensor : source.files.tensors()) {
    tensors.write(tensor, factors.find(tensor.info.name));
    tensor.release();
  }
  writer.finish();
  copy_other_files(source, out.path(), options);
  out.commit();
  return tensors.underflowed();
}

}  // namespace fold_program
