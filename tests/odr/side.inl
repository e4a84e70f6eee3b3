// The same code in both files, each time compiled with the options of that file.

namespace {

sinq::QuantizedMatrix make(const sinq::MatrixView& w) { return sinq::quantize(w); }

std::vector<float> decode(const sinq::QuantizedMatrix& q) {
  std::vector<float> out(static_cast<std::size_t>(q.rows() * q.cols()));
  sinq::dequantize_into(q.view(), out);
  return out;
}

}  // namespace
