#include "quantize_support.hpp"

#include <chrono>
#include <cstdio>
#include <memory>
#include <random>
#include <thread>

#if defined(__linux__)
#include <sys/mount.h>
#endif

namespace convert::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

/// The embedded model in a dozen small shards.
/// A conversion to several files.
std::vector<std::string> sharded(const fs::path& out, std::vector<std::string> more = {}) {
  std::vector<std::string> arguments{kModel.string(), "-o",        out.string(), "--max-shard-size",
                                     "100KB",         "--threads", "2"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

std::string shard(const fs::path& out, int index) {
  int count = 0;
  for (const auto& [name, content] : contents(out)) count += name.starts_with("model-") ? 1 : 0;
  char name[64];
  std::snprintf(name, sizeof name, "model-%05d-of-%05d.safetensors", index, count);
  return name;
}

TEST(Resume, ACompleteRunIsVerifiedAndLeftAlone) {
  const TemporaryFolder folder;
  const auto out = folder.path() / "out";
  ASSERT_EQ(run(sharded(out)).status, kDone);
  const auto before = contents(out);
  const auto time = fs::last_write_time(out / shard(out, 1));
  const Outcome again = run(sharded(out));
  EXPECT_EQ(again.status, kDone) << again.err;
  EXPECT_THAT(again.out, testing::AllOf(HasSubstr("are there and intact"), HasSubstr("complete already")));
  EXPECT_EQ(fs::last_write_time(out / shard(out, 1)), time);
  expect_same(before, contents(out));
}

TEST(Resume, DamagedAndLostShardsAreMadeAgainAndOthersKept) {
  const TemporaryFolder folder;
  const auto out = folder.path() / "out";
  ASSERT_EQ(run(sharded(out)).status, kDone);
  const auto before = contents(out);
  const auto damaged = shard(out, 2), lost = shard(out, 4), kept = shard(out, 3);
  std::string content = before.at(damaged);
  content.back() = static_cast<char>(content.back() ^ 1);
  std::ofstream(out / damaged, std::ios::binary) << content;
  fs::remove(out / lost);
  const auto time = fs::last_write_time(out / kept);
  const Outcome again = run(sharded(out));
  EXPECT_EQ(again.status, kDone) << again.err;
  EXPECT_THAT(again.out,
              testing::AllOf(HasSubstr(damaged + " is damaged or gone"), HasSubstr(lost), Not(HasSubstr(kept))));
  EXPECT_EQ(fs::last_write_time(out / kept), time);
  expect_same(before, contents(out));
}

TEST(Resume, AnotherConversionIsRefusedByNameUnlessItMayBeReplaced) {
  const TemporaryFolder folder;
  const auto out = folder.path() / "out";
  ASSERT_EQ(run(sharded(out)).status, kDone);
  const auto before = contents(out);
  const auto refused = [&](const std::vector<std::string>& arguments, const std::string& text) {
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.status, kConflict);
    EXPECT_THAT(outcome.err, testing::AllOf(HasSubstr(text), HasSubstr("--force")));
    expect_same(before, contents(out));
  };
  refused(sharded(out, {"--bits", "3"}), "settings[0].bits was 4 and is 3");
  refused(sharded(out, {"--exclude", "*.layers.0.*"}), "exclude was [] and is [\"*.layers.0.*\"]");
  // Another model of the same shapes: one weight differs.
  const auto model = folder.path() / "model";
  fs::copy(kModel, model);
  std::string weights = sinq_test::content_of(model / "model.safetensors");
  weights[weights.size() - 2] = static_cast<char>(weights[weights.size() - 2] ^ 1);
  std::ofstream(model / "model.safetensors", std::ios::binary) << weights;
  auto other = sharded(out);
  other[0] = model.string();
  refused(other, "input.model.safetensors.samples_xxh64");

  const auto expected = folder.path() / "expected";
  ASSERT_EQ(run({kModel.string(), "-o", expected.string(), "--bits", "3"}).status, kDone);
  const Outcome replaced = run({kModel.string(), "-o", out.string(), "--bits", "3", "--force"});
  EXPECT_EQ(replaced.status, kDone) << replaced.err;
  expect_same(contents(expected), contents(out));  // and no index of the old one
}

TEST(Resume, AForeignModelIsRefused) {
  const TemporaryFolder folder;
  folder.file("config.json", "{\"foreign\": 1}");
  const auto before = contents(folder.path());
  const Outcome outcome = run(sharded(folder.path()));
  EXPECT_EQ(outcome.status, kConflict);
  EXPECT_THAT(outcome.err, HasSubstr("config.json: exists already; --force replaces it"));
  expect_same(before, contents(folder.path()));
}

TEST(Resume, KilledAtAnyTimeARunEndsAsAnUndisturbedOne) {
  const TemporaryFolder folder;
  const auto input = contents(kModel);
  const auto undisturbed = folder.path() / "undisturbed";
  ASSERT_EQ(Process(sharded(undisturbed)).wait(), kDone);
  const auto expected = contents(undisturbed);

  std::mt19937 random(7);
  // What a run takes is not known and changes: the next one has less time after one that ended, and more after a kill.
  std::chrono::duration<double> longest = std::chrono::milliseconds(100);
  int kills = 0;
  for (int round = 0; kills < 50; ++round) {
    ASSERT_LT(round, 500);
    const auto out = folder.path() / "out";
    Process process(sharded(out));
    std::this_thread::sleep_for(longest * std::uniform_real_distribution<>(0, 1)(random));
    if (process.kill() == kDone) {
      longest *= 0.7;
    } else {
      longest *= 1.1;
      ++kills;
    }
    // A model is there whole or not at all: without its index it is none.
    const auto files = contents(out);
    for (const auto& [name, content] : files) {
      if (name.ends_with(".safetensors")) {
        ASSERT_TRUE(content == expected.at(name)) << name;
      }
    }
    if (files.contains("model.safetensors.index.json") || round % 10 == 9) {
      ASSERT_EQ(Process(sharded(out)).wait(), kDone);
      expect_same(expected, contents(out));
      fs::remove_all(out);
    }
  }
  expect_same(input, contents(kModel));
}

TEST(Resume, AFullDiskIsAnErrorAndWhatIsThereIsKept) {
  const TemporaryFolder folder;
  const auto undisturbed = folder.path() / "undisturbed", out = folder.path() / "out";
  ASSERT_EQ(run(sharded(undisturbed)).status, kDone);
  // No file may grow beyond 120 KB: that of the embeddings and the tokenizer want to.
  Process process(sharded(out), [] {
    std::signal(SIGXFSZ, SIG_IGN);
    const ::rlimit limit{120'000, 120'000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  });
  EXPECT_EQ(process.wait(), kSystem);
  EXPECT_TRUE(contents(out).empty());
  const Outcome again = run(sharded(out));
  EXPECT_EQ(again.status, kDone) << again.err;
  expect_same(contents(undisturbed), contents(out));
}

#if defined(__linux__)
TEST(Resume, AFullFileSystemIsAnError) {
  const TemporaryFolder folder;
  const auto disk = folder.path() / "disk", undisturbed = folder.path() / "undisturbed";
  fs::create_directory(disk);
  if (::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=800k") != 0) GTEST_SKIP() << "no right to mount a small disk";
  ASSERT_EQ(run(sharded(undisturbed)).status, kDone);
  const Outcome full = run(sharded(disk / "out"));
  EXPECT_EQ(full.status, kSystem);
  EXPECT_THAT(full.err, HasSubstr("No space left"));
  EXPECT_TRUE(contents(disk / "out").empty());
  EXPECT_EQ(::mount("tmpfs", disk.c_str(), "tmpfs", MS_REMOUNT, "size=16m"), 0);
  const Outcome again = run(sharded(disk / "out"));
  EXPECT_EQ(again.status, kDone) << again.err;
  EXPECT_THAT(again.out, HasSubstr("are there and intact"));
  expect_same(contents(undisturbed), contents(disk / "out"));
  ::umount(disk.c_str());
}
#endif

TEST(Resume, FourPartsJoinedAreTheWhole) {
  const TemporaryFolder folder;
  const auto whole = folder.path() / "whole", together = folder.path() / "together", apart = folder.path() / "apart";
  const auto report = [&](const std::string& name) { return (folder.path() / (name + ".json")).string(); };
  ASSERT_EQ(run(sharded(whole, {"--report", report("whole")})).status, kDone);
  const auto expected = contents(whole);

  // All in one folder, at the same time.
  {
    std::vector<std::unique_ptr<Process>> processes;
    std::vector<std::vector<std::string>> lines;
    for (int i = 1; i <= 4; ++i) {
      const std::string part = std::to_string(i) + "/4";
      lines.push_back(sharded(together, {"--shard", part, "--report", report("part" + std::to_string(i))}));
      processes.push_back(std::make_unique<Process>(lines.back()));
    }
    for (auto& process : processes) EXPECT_EQ(process->wait(), kDone);
  }
  EXPECT_TRUE(contents(together).empty());  // nothing is a model before it is whole
  const Outcome merged = run({"merge", kModel.string(), "-o", together.string(), "--report", report("together")});
  EXPECT_EQ(merged.status, kDone) << merged.err;
  expect_same(expected, contents(together));
  EXPECT_EQ(sinq_test::content_of(report("together")), sinq_test::content_of(report("whole")));
  EXPECT_THAT(sinq_test::content_of(report("part2")), HasSubstr("\"layers\""));

  // Each in its own.
  std::vector<std::string> merge{"merge", kModel.string(), "-o", apart.string()};
  for (int i = 1; i <= 4; ++i) {
    const auto part = folder.path() / ("part" + std::to_string(i));
    if (i == 4) {
      const Outcome early = run(merge);
      EXPECT_EQ(early.status, kSystem);
      EXPECT_THAT(early.err, HasSubstr("is in none of the parts"));
    }
    ASSERT_EQ(run(sharded(part, {"--shard", std::to_string(i) + "/4"})).status, kDone);
    merge.push_back(part.string());
  }
  const Outcome joined = run(merge);
  EXPECT_EQ(joined.status, kDone) << joined.err;
  expect_same(expected, contents(apart));

  // A run without --shard is content with what the parts made.
  const Outcome after = run(sharded(together));
  EXPECT_THAT(after.out, HasSubstr("complete already"));
}

TEST(Resume, PartsOfDifferentConversionsAreNotJoined) {
  const TemporaryFolder folder;
  const auto one = folder.path() / "1", two = folder.path() / "2", out = folder.path() / "out";
  ASSERT_EQ(run(sharded(one, {"--shard", "1/2"})).status, kDone);
  ASSERT_EQ(run(sharded(two, {"--shard", "2/2", "--bits", "5"})).status, kDone);
  const Outcome outcome = run({"merge", kModel.string(), "-o", out.string(), one.string(), two.string()});
  EXPECT_EQ(outcome.status, kConflict);
  EXPECT_THAT(outcome.err, HasSubstr("settings[0].bits was 4 and is 5"));
  EXPECT_TRUE(contents(out).empty());
}

}  // namespace
}  // namespace convert::test
