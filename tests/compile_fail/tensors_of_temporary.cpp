// What a file hands out points into its mapping, which a temporary takes with it.
#include <sinq/io.hpp>

std::size_t f(const std::filesystem::path& path) {
#ifdef SINQ_MISUSE
  const auto& tensors = sinq::io::SafetensorsFile::open(path).tensors();
#else
  const auto file = sinq::io::SafetensorsFile::open(path);
  const auto& tensors = file.tensors();
#endif
  return tensors.size();
}
