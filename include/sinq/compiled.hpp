#pragma once

#include <sinq/abi.hpp>

// The heavy functions of the library may come from a static library instead of the headers: CMake's target
// sinq::compiled defines SINQ_COMPILED_FOR_<name of the inline namespace that it was compiled in> as 1. A file with
// other flags has another namespace (see abi.hpp), does not find its macro, and compiles the headers as ever: there is
// no wrong combination.
#define SINQ_COMPILED_FOR_EXPANDED(abi) SINQ_COMPILED_FOR_##abi
#define SINQ_COMPILED_FOR(abi) SINQ_COMPILED_FOR_EXPANDED(abi)
#if SINQ_COMPILED_FOR(SINQ_ABI)
#define SINQ_COMPILED 1
/// What a heavy function is declared and defined with.
#define SINQ_DECL
#else
#define SINQ_COMPILED 0
#define SINQ_DECL inline
#endif

/// Whether this file compiles the bodies of a group of heavy functions: every file without the static library; with it
/// the one source under cmake/compiled/ that defines SINQ_BODIES_<group> as 1.
#define SINQ_HAS_BODIES(group) (!SINQ_COMPILED || SINQ_BODIES_##group)
