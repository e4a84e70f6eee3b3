#include "llm/kernels.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

// The loops are written once, with the compilers' vector types, and compiled once per instruction set; a plain -O2
// build is as fast as one with -march=native.
#define LLM_NAMESPACE portable
#define LLM_TARGET
#define LLM_LANES 4
#define LLM_ROWS 4
#include "llm/kernels_for_isa.inl"

#if SINQ_X86
#define LLM_NAMESPACE avx2
#define LLM_TARGET __attribute__((target("avx2,fma")))
#define LLM_LANES 8
#define LLM_ROWS 3
#include "llm/kernels_for_isa.inl"

#define LLM_NAMESPACE avx512
#define LLM_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq")))
#define LLM_LANES 16
#define LLM_ROWS 12
#include "llm/kernels_for_isa.inl"
#endif

namespace llm {
namespace {

const Kernels& of(sinq::isa::Portable) noexcept { return portable::kKernels; }
#if SINQ_NEON
const Kernels& of(sinq::isa::Neon) noexcept { return portable::kKernels; }  // four lanes are what NEON has
#endif
#if SINQ_X86
const Kernels& of(sinq::isa::Avx2) noexcept { return avx2::kKernels; }
const Kernels& of(sinq::isa::Avx512) noexcept { return avx512::kKernels; }
#endif

}  // namespace

const Kernels& kernels(sinq::Isa limit) noexcept {
  return sinq::dispatch(limit, [](auto tag) -> const Kernels& { return of(tag); });
}

}  // namespace llm
