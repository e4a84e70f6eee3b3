#include "llm/checkpoint_source.hpp"

#include "llm/tensors.hpp"

namespace llm {
namespace {

std::string shape_text(const std::vector<Index>& shape) {
  std::string out;
  for (const Index extent : shape) out += (out.empty() ? "[" : ", ") + std::to_string(extent);
  return out.empty() ? "[]" : out + "]";
}

const sinq::io::Checkpoint::Tensor& of_shape(const sinq::io::Checkpoint& files, const std::string& name,
                                             const std::vector<Index>& expected) {
  const auto& tensor = files.at(name);
  if (tensor.info.shape != expected) {
    throw sinq::Error(sinq::Errc::kBadFile, name + " has shape " + shape_text(tensor.info.shape) +
                                                ", config.json asks for " + shape_text(expected));
  }
  return tensor;
}

}  // namespace

std::vector<float> CheckpointSource::vector(const std::string& name, Index size) const {
  const auto& tensor = of_shape(files_, name, {size});
  const auto type = sinq::io::scalar_type(tensor.info.dtype);
  if (!type) {
    throw sinq::Error(sinq::Errc::kUnsupported, name + " has type " + std::string(sinq::io::name(tensor.info.dtype)) +
                                                    ", which is no float type");
  }
  std::vector<float> out(static_cast<std::size_t>(size));
  read_row(sinq::MatrixView::row_major(tensor.bytes().data(), *type, 1, size), 0, out.data());
  return out;
}

sinq::MatrixView CheckpointSource::matrix(const std::string& name, Index rows, Index cols) const {
  return of_shape(files_, name, {rows, cols}).matrix_view();
}

std::optional<sinq::QuantizedView> CheckpointSource::quantized(const std::string&) const { return std::nullopt; }

double CheckpointSource::stored_bits(const std::string& name) const {
  return 8.0 * static_cast<double>(files_.at(name).bytes().size());
}

}  // namespace llm
