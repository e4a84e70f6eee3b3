#include <sinq/run.hpp>

#ifdef EIGEN_WORLD_VERSION
#error "run.hpp must not include Eigen"
#endif

#include <vector>

int main() {
  // One row of 4-bit codes, all scales 0: the product is 0 whatever the activations.
  const sinq::QuantizedMatrix q(sinq::Layout{.rows = 1, .cols = 64, .bits = 4, .group_size = 64, .row_block = 1});
  const std::vector<float> x(64, 1.0F);
  std::vector<float> y(1, 1.0F);
  sinq::matvec(q, x, y);
  return y[0] == 0.0F ? 0 : 1;
}
