#pragma once

/// The inline namespace that all of `sinq` stands in, named after what the compiler's flags change: `sinq::quantize` of
/// a file compiled with `-march=native` and that of a plain one are two symbols, so that a linker never hands the plain
/// one code that its machine cannot run, nor a file's finiteness checks those of one compiled with `-ffast-math`. (The
/// idea is nlohmann-json's ABI tags and fmt's version namespaces.) Nobody writes its name: `sinq::` finds what is in
/// it.

// 1 if the macro is defined as 1, else 0, as a token that can be pasted: the macro's value completes the name of
// SINQ_ABI_IF_1, whose comma shifts 1 to the second place, or makes some other name, which does not. (Linux's
// IS_ENABLED.)
#define SINQ_ABI_IF_1 0,
#define SINQ_ABI_SECOND(first, second, ...) second
#define SINQ_ABI_DIGIT_OF_WORD(word) SINQ_ABI_SECOND(word 1, 0, 0)
#define SINQ_ABI_DIGIT_OF_VALUE(value) SINQ_ABI_DIGIT_OF_WORD(SINQ_ABI_IF_##value)
#define SINQ_ABI_DIGIT(macro) SINQ_ABI_DIGIT_OF_VALUE(macro)

#define SINQ_ABI_JOIN_EXPANDED(a, b, c, d, e, f, g, h, i) a##b##c##d##e##f##g##h##i
#define SINQ_ABI_JOIN(a, b, c, d, e, f, g, h, i) SINQ_ABI_JOIN_EXPANDED(a, b, c, d, e, f, g, h, i)
#define SINQ_ABI_DIGITS(name, a, b, c, d, e, f, g, h)                                                                \
  SINQ_ABI_JOIN(name, SINQ_ABI_DIGIT(a), SINQ_ABI_DIGIT(b), SINQ_ABI_DIGIT(c), SINQ_ABI_DIGIT(d), SINQ_ABI_DIGIT(e), \
                SINQ_ABI_DIGIT(f), SINQ_ABI_DIGIT(g), SINQ_ABI_DIGIT(h))

// What every program chooses: exceptions, arithmetic, the containers' layout.
#define SINQ_ABI_LANGUAGE \
  SINQ_ABI_DIGITS(abi_, __EXCEPTIONS, __FINITE_MATH_ONLY__, __FAST_MATH__, _GLIBCXX_DEBUG, 0, 0, 0, 0)

// Every extension whose instructions a compiler picks by itself.
#if defined(__x86_64__) || defined(__i386__)
#define SINQ_ABI_TARGET_0 \
  SINQ_ABI_DIGITS(_, __SSE2__, __SSE3__, __SSSE3__, __SSE4_1__, __SSE4_2__, __POPCNT__, __SSE4A__, __XOP__)
#define SINQ_ABI_TARGET_1 SINQ_ABI_DIGITS(_, __AVX__, __F16C__, __FMA__, __FMA4__, __AVX2__, __BMI__, __BMI2__, __TBM__)
#define SINQ_ABI_TARGET_2 \
  SINQ_ABI_DIGITS(_, __LZCNT__, __MOVBE__, __GFNI__, __AVXVNNI__, __AVX512F__, __AVX512CD__, __AVX512BW__, __AVX512DQ__)
#define SINQ_ABI_TARGET_3                                                                                             \
  SINQ_ABI_DIGITS(_, __AVX512VL__, __AVX512IFMA__, __AVX512VBMI__, __AVX512VBMI2__, __AVX512VNNI__, __AVX512BITALG__, \
                  __AVX512VPOPCNTDQ__, __AVX512FP16__)
#elif defined(__aarch64__)
#define SINQ_ABI_TARGET_0                                                                                    \
  SINQ_ABI_DIGITS(_, __ARM_FEATURE_ATOMICS, __ARM_FEATURE_QRDMX, __ARM_FEATURE_CRC32, __ARM_FEATURE_DOTPROD, \
                  __ARM_FEATURE_FP16_VECTOR_ARITHMETIC, __ARM_FEATURE_BF16, __ARM_FEATURE_MATMUL_INT8,       \
                  __ARM_FEATURE_JCVT)
#define SINQ_ABI_TARGET_1 \
  SINQ_ABI_DIGITS(_, __ARM_FEATURE_SVE, __ARM_FEATURE_SVE2, __ARM_FEATURE_FRINT, __ARM_FEATURE_COMPLEX, 0, 0, 0, 0)
#define SINQ_ABI_TARGET_2
#define SINQ_ABI_TARGET_3
#else
#define SINQ_ABI_TARGET_0
#define SINQ_ABI_TARGET_1
#define SINQ_ABI_TARGET_2
#define SINQ_ABI_TARGET_3
#endif

#define SINQ_ABI \
  SINQ_ABI_JOIN(SINQ_ABI_LANGUAGE, SINQ_ABI_TARGET_0, SINQ_ABI_TARGET_1, SINQ_ABI_TARGET_2, SINQ_ABI_TARGET_3, , , , )
