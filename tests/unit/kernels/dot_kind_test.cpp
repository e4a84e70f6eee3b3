#include <sinq/kernels/dot_kind.hpp>

#include "dot_list.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string_view>

namespace {

using namespace sinq;
using namespace sinq::test;
using sinq::detail::best_dot;

TEST(DotKind, TheBestOneIsSupportedAndOfTheInstructionSetThatTheLimitAllows) {
  EXPECT_EQ(best_dot(Isa::kPortable), DotKind::kPortable);
  for (const Isa limit : {Isa::kPortable, Isa::kNeon, Isa::kAvx2, Isa::kAvx512, Isa::kBest}) {
    EXPECT_TRUE(detail::supported(best_dot(limit))) << sinq::name(limit);
    // "avx512+vnni" of "avx512".
    EXPECT_TRUE(name(best_dot(limit)).starts_with(sinq::name(resolve(limit)))) << sinq::name(limit);
  }
  EXPECT_EQ(best_dot(Isa::kBest), supported_dots().back());
}

TEST(DotKind, NamesDiffer) {
  std::set<std::string_view> names;
  for (const DotKind kind : supported_dots()) EXPECT_TRUE(names.insert(name(kind)).second) << name(kind);
}

}  // namespace
