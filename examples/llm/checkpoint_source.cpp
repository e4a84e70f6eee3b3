#include "llm/checkpoint_source.hpp"

#include "llm/tensors.hpp"

namespace llm {
namespace {

std::string shape_text(const std::vector<Index>& shape) {
  std::string out;
  for (const Index extent : shape) out += (out.empty() ? "[" : ", ") + std::to_string(extent);
  return out.empty() ? "[]" : out + "]";
}

void check_shape(const std::string& name, const std::vector<Index>& shape, const std::vector<Index>& expected) {
  if (shape == expected) return;
  throw sinq::Error(sinq::Errc::kBadFile,
                    name + " has shape " + shape_text(shape) + ", config.json asks for " + shape_text(expected));
}

}  // namespace

CheckpointSource::CheckpointSource(const std::filesystem::path& folder) : files_(sinq::io::Checkpoint::open(folder)) {
  for (const std::string& name : files_.quantized_names()) {
    const sinq::QuantizedView codes = files_.quantized(name);
    quantized_.emplace(name, codes);
    for (auto& part : sinq::io::quantized_tensor_infos(name, codes.layout())) parts_.insert(std::move(part.name));
  }
}

CheckpointSource::CheckpointSource(sinq::io::Checkpoint files,
                                   std::map<std::string, sinq::QuantizedMatrix, std::less<>> converted,
                                   std::set<std::string> parts)
    : files_(std::move(files)), converted_(std::move(converted)), parts_(std::move(parts)) {
  for (const auto& [name, matrix] : converted_) quantized_.emplace(name, matrix.view());
}

std::vector<float> CheckpointSource::vector(const std::string& name, Index size) const {
  const auto& tensor = files_.at(name);
  check_shape(name, tensor.info.shape, {size});
  const auto type = sinq::io::scalar_type(tensor.info.dtype);
  if (!type) {
    throw sinq::Error(sinq::Errc::kUnsupported, name + " has type " + std::string(sinq::io::name(tensor.info.dtype)) +
                                                    ", which is no float type");
  }
  std::vector<float> out(static_cast<std::size_t>(size));
  read_row(name, sinq::MatrixView::row_major(tensor.bytes().data(), *type, 1, size), 0, out.data());
  return out;
}

sinq::MatrixView CheckpointSource::matrix(const std::string& name, Index rows, Index cols) const {
  if (const auto found = quantized_.find(name); found != quantized_.end()) {
    const sinq::QuantizedView& codes = found->second.codes();
    check_shape(name, {codes.rows(), codes.cols()}, {rows, cols});
    return found->second.view();
  }
  const auto& tensor = files_.at(name);
  check_shape(name, tensor.info.shape, {rows, cols});
  return tensor.matrix_view();
}

std::optional<sinq::QuantizedView> CheckpointSource::quantized(const std::string& name) const {
  const auto found = quantized_.find(name);
  return found == quantized_.end() ? std::nullopt : std::optional(found->second.codes());
}

std::vector<std::string> CheckpointSource::others(const std::set<std::string>& known) const {
  std::vector<std::string> out;
  for (const auto& tensor : files_.tensors()) {
    if (!known.contains(tensor.info.name) && !parts_.contains(tensor.info.name)) out.push_back(tensor.info.name);
  }
  for (const auto& [name, matrix] : quantized_) {
    if (!known.contains(name)) out.push_back(name);
  }
  return out;
}

std::string CheckpointSource::stored_type(const std::string& name) const {
  if (const auto codes = quantized(name)) return std::to_string(codes->layout().bits) + "-bit codes";
  return std::string(sinq::io::name(files_.at(name).info.dtype));
}

double CheckpointSource::stored_bits(const std::string& name) const {
  if (const auto codes = quantized(name)) {
    return sinq::bits_per_weight(codes->layout()) * static_cast<double>(codes->rows()) *
           static_cast<double>(codes->cols());
  }
  return 8.0 * static_cast<double>(files_.at(name).stored_bytes());
}

}  // namespace llm
