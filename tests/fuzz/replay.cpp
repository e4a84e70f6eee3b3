// Runs a harness over every file of the given folders: as it is, cut off at every byte, and with every byte changed.
// The first ones are what must never break again, the others are a short, always equal piece of fuzzing.
#include "harness.hpp"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

namespace {

void run(const std::vector<std::uint8_t>& input) {
  // A copy without room behind it: AddressSanitizer then sees every byte too many.
  const std::vector<std::uint8_t> exact(input.begin(), input.end());
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

void replay(std::vector<std::uint8_t> input) {
  constexpr std::size_t kLongest = 4096;  // of those that are changed, so that a test takes seconds
  run(input);
  if (input.size() > kLongest) return;
  for (std::size_t i = 0; i < input.size(); ++i) {
    run({input.begin(), input.begin() + static_cast<std::ptrdiff_t>(i)});
    const std::uint8_t before = input[i];
    input[i] = static_cast<std::uint8_t>(before ^ (1U << (i % 8)));
    run(input);
    input[i] = before;
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::filesystem::path> files;
  for (int i = 1; i < argc; ++i) {
    for (const auto& entry : std::filesystem::directory_iterator(argv[i])) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  for (const auto& path : files) {
    std::ifstream file(path, std::ios::binary);
    std::vector<std::uint8_t> input;
    std::transform(std::istreambuf_iterator<char>(file), {}, std::back_inserter(input),
                   [](char c) { return static_cast<std::uint8_t>(c); });
    std::fprintf(stderr, "%s\n", path.c_str());  // the last one is the one that crashed
    replay(std::move(input));
  }
  std::printf("%zu files\n", files.size());
  return files.empty() ? 1 : 0;
}
