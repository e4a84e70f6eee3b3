// The conformance suite on every instruction set that was compiled; those that this machine lacks are skipped.
#include <sinq/detail/simd.hpp>
#include <sinq/isa.hpp>

#include "support/isa_suite.hpp"

#include <gtest/gtest.h>

namespace sinq::test {

#if SINQ_X86
using Isas = testing::Types<isa::Portable, isa::Avx2, isa::Avx512>;
#elif SINQ_NEON
using Isas = testing::Types<isa::Portable, isa::Neon>;
#else
using Isas = testing::Types<isa::Portable>;
#endif
INSTANTIATE_TYPED_TEST_SUITE_P(Isas, IsaSuite, Isas);

}  // namespace sinq::test
