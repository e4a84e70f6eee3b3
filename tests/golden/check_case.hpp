#pragma once

#include <sinq/isa.hpp>

#include "support/golden_case.hpp"

#include <string>
#include <vector>

namespace sinq::test {

enum class CaseOutcome { kPassed, kFailed, kSkipped };

/// What came of one golden case.
struct CaseReport {
  CaseOutcome outcome = CaseOutcome::kPassed;
  std::vector<std::string> failures;  ///< what was off, by how much, what was allowed
  std::string summary;                ///< what was compared
};

/// Runs the library in its reference-compatible mode on a case and compares codes, scales, zero points, dequantized
/// values, best iterates and imbalance by golden/FORMAT.md section 9. Throws std::runtime_error for unreadable files.
CaseReport check_case(const GoldenCase& c, Isa limit = Isa::kBest);

}  // namespace sinq::test
