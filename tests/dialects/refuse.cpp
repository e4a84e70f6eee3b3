// Without exceptions an error ends the program; this one makes one.
#include <sinq/quantize.hpp>

int main() {
  const float weights[16] = {};
  static_cast<void>(sinq::quantize(sinq::MatrixView::row_major(weights, 1, 16), {.group_size = 44}));
}
