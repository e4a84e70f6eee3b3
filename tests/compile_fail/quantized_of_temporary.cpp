// A quantized tensor lies in the mapping of its file, which a temporary takes with it.
#include <sinq/io.hpp>

sinq::Index f(const std::filesystem::path& folder) {
#ifdef SINQ_MISUSE
  const sinq::QuantizedView q = sinq::io::Checkpoint::open(folder).quantized("w");
#else
  const auto checkpoint = sinq::io::Checkpoint::open(folder);
  const sinq::QuantizedView q = checkpoint.quantized("w");
#endif
  return q.rows();
}
