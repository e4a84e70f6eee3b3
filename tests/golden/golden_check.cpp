// golden_check DIR...: checks the library against golden cases (golden/FORMAT.md). A DIR is a case or a folder of
// cases.
#include "check_case.hpp"

#include <cstdio>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

namespace {

using sinq::test::CaseOutcome;
using sinq::test::CaseReport;

struct Counts {
  int passed = 0;
  int failed = 0;
  int skipped = 0;
};

/// One line for a case that passed or was skipped; a failed one lists what was off.
void print(const std::string& id, const CaseReport& report, Counts& counts) {
  switch (report.outcome) {
    case CaseOutcome::kPassed:
      ++counts.passed;
      std::printf("pass  %s: %s\n", id.c_str(), report.summary.c_str());
      return;
    case CaseOutcome::kSkipped:
      ++counts.skipped;
      std::printf("skip  %s: %s\n", id.c_str(), report.summary.c_str());
      return;
    case CaseOutcome::kFailed:
      break;
  }
  ++counts.failed;
  std::string reasons;
  for (const std::string& failure : report.failures) reasons += (reasons.empty() ? "" : "; ") + failure;
  std::printf("FAIL  %s: %s\n", id.c_str(), reasons.c_str());
}

CaseReport check(const std::filesystem::path& folder, std::string& id) {
  try {
    const sinq::test::GoldenCase c = sinq::test::load_case(folder);
    id = c.id;
    return sinq::test::check_case(c);
  } catch (const std::exception& e) {
    return {.outcome = CaseOutcome::kFailed, .failures = {e.what()}, .summary = ""};
  }
}

constexpr const char* kUsage = "usage: golden_check DIR...\n  DIR  a golden case, or a folder of golden cases\n";

/// `status`, unless something of what was printed is lost.
int finished(int status) {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return status;
  std::fprintf(stderr, "golden_check: standard output: cannot be written\n");
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "--help") {
    std::fputs(kUsage, stdout);
    return finished(0);
  }
  if (argc < 2) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  Counts counts;
  for (int i = 1; i < argc; ++i) {
    std::vector<std::filesystem::path> folders;
    try {
      folders = sinq::test::case_folders(argv[i]);
    } catch (const std::exception& e) {
      std::fprintf(stderr, "golden_check: %s\n", e.what());
      return 2;
    }
    for (const auto& folder : folders) {
      std::string id = folder.filename().string();
      const CaseReport report = check(folder, id);
      print(id, report, counts);
    }
  }
  std::printf("%d passed, %d failed, %d skipped\n", counts.passed, counts.failed, counts.skipped);
  return finished(counts.failed == 0 ? 0 : 1);
}
