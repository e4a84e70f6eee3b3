#pragma once

// Every specialisation of `Dot` that this machine's compiler can build.
#include <sinq/kernels/dot_portable.hpp>
#if SINQ_X86
#include <sinq/kernels/dot_avx2.hpp>
#include <sinq/kernels/dot_avx512.hpp>
#endif
#if SINQ_NEON
#include <sinq/kernels/dot_neon.hpp>
#endif
