#include <sinq/isa.hpp>

#include "support/isa_list.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string_view>
#include <type_traits>

namespace {

using sinq::dispatch;
using sinq::Isa;
using sinq::resolve;
using sinq::supported;

constexpr Isa kAll[] = {Isa::kPortable, Isa::kNeon, Isa::kAvx2, Isa::kAvx512};

TEST(IsaTest, PortableRunsEverywhere) {
  EXPECT_TRUE(supported(Isa::kPortable));
  EXPECT_EQ(resolve(Isa::kPortable), Isa::kPortable);
}

TEST(IsaTest, BestIsNotAnInstructionSet) { EXPECT_FALSE(supported(Isa::kBest)); }

TEST(IsaTest, ResolveStaysBelowTheLimitAndOnThisMachine) {
  for (const Isa limit : kAll) {
    EXPECT_LE(resolve(limit), limit) << name(limit);
    EXPECT_TRUE(supported(resolve(limit))) << name(limit);
    if (supported(limit)) {
      EXPECT_EQ(resolve(limit), limit) << name(limit);
    }
  }
  const Isa best = resolve(Isa::kBest);
  for (const Isa isa : kAll) {
    if (supported(isa)) {
      EXPECT_LE(isa, best) << name(isa);
    }
  }
}

TEST(IsaTest, FeaturesNest) {
  if (supported(Isa::kAvx512)) {
    EXPECT_TRUE(supported(Isa::kAvx2));
  }
  EXPECT_FALSE(supported(Isa::kNeon) && supported(Isa::kAvx2));
}

TEST(IsaTest, DispatchCallsOnceWithTheTagOfResolve) {
  for (const Isa limit : {Isa::kPortable, Isa::kNeon, Isa::kAvx2, Isa::kAvx512, Isa::kBest}) {
    int calls = 0;
    const Isa ran = dispatch(limit, [&](auto tag) {
      ++calls;
      return decltype(tag)::kIsa;
    });
    EXPECT_EQ(calls, 1);
    EXPECT_EQ(ran, resolve(limit)) << name(limit);
  }
}

TEST(IsaTest, NamesDiffer) {
  std::set<std::string_view> names;
  for (const Isa isa : kAll) names.insert(name(isa));
  names.insert(name(Isa::kBest));
  EXPECT_EQ(names.size(), 5U);
}

TEST(IsaTest, ListForTestsHoldsWhatThisMachineRuns) {
  const auto isas = sinq::test::supported_isas();
  for (const Isa isa : kAll) {
    EXPECT_EQ(std::count(isas.begin(), isas.end(), isa), supported(isa) ? 1 : 0) << name(isa);
  }
}

}  // namespace
