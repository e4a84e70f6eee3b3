// Compiled once per instruction set by trellis_search.hpp.
#ifdef SINQ_ISA

namespace sinq::inline SINQ_ABI::detail {

template <>
struct TrellisViterbi<SINQ_ISA> {
  using S = Simd<SINQ_ISA>;
  using F = S::F;
  using W = S::W;
  static constexpr Index kLanes = S::kWords;
  static constexpr Index kRunLanes = TrellisRun::kLanes;

  /// A run of at most TrellisSearch::kMostSteps.
  static void search(const TrellisPlan& plan, const TrellisRun& run, std::uint16_t* windows, TrellisMemory& memory) {
    memory.costs.resize(static_cast<std::size_t>(TrellisPlan::kSlots * kLanes));
    memory.levels.resize(plan.levels.size() * static_cast<std::size_t>(plan.bundle * kLanes));
    memory.choices.resize(static_cast<std::size_t>(run.steps * kWords * kLanes));
    for (Index lane = 0; lane < kRunLanes; lane += kLanes) {
      begin(plan, run, lane, memory.costs.data());
      go_forward(plan, run, lane, memory);
      std::uint32_t last[kLanes];
      find_last(plan, run, lane, memory.costs.data(), last);
      trace_back(plan, run, lane, memory.choices.data(), last, windows);
    }
  }

 private:
  /// Words of 16 choices that a step takes: choice n * 2^bits + i is that of node i of group n, the nodes of a tree of
  /// comparisons numbered from 1 on, the children of i being 2 i and 2 i + 1; 1 where the second one is less.
  static constexpr Index kWords = TrellisGeometry::kStates / 16;

  /// Costs are kept relative to this.
  static constexpr std::int16_t kLeast = -32768, kMost = 32767;

  /// The costs before the first step: none for what may be, out of reach for all else.
  SINQ_TARGET static void begin(const TrellisPlan& plan, const TrellisRun& run, Index lane,
                                std::int16_t* costs) noexcept {
    const TrellisPlan::Step& first = plan.step(run.first_step);
    const auto members = std::uint32_t{1} << first.bits;
    if (run.start == nullptr) {
      for (Index slot = 0; slot < TrellisPlan::kSlots; ++slot)
        S::store_words(costs + slot * kLanes, S::set1_word(kLeast));
      return;
    }
    for (Index slot = 0; slot < TrellisPlan::kSlots; ++slot) S::store_words(costs + slot * kLanes, S::set1_word(kMost));
    for (std::uint32_t bits = 0; bits < members; ++bits) {
      for (Index i = 0; i < kLanes; ++i) {
        // Rotated by the end of the step before: its bits that leave the window now stand where the first step's will.
        const std::uint32_t kept = run.start[lane + i] & ((1U << (kWindowBits - first.bits)) - 1U);
        const std::uint32_t window = kept | bits << (kWindowBits - first.bits);
        const std::uint32_t index = TrellisPlan::rotate(window, (first.low + first.bits) % kWindowBits);
        costs[TrellisPlan::slot(index) * kLanes + i] = kLeast;
      }
    }
  }
  static constexpr int kWindowBits = TrellisGeometry::kWindowBits;

  SINQ_TARGET static void go_forward(const TrellisPlan& plan, const TrellisRun& run, Index lane,
                                     TrellisMemory& memory) noexcept {
    alignas(64) std::int16_t marks[16 * kLanes];
    for (int i = 0; i < 16; ++i) S::store_words(marks + i * kLanes, S::set1_word(static_cast<std::int16_t>(1U << i)));
    alignas(64) float units[kLanes];
    find_units(plan, run, lane, units);
    // What is subtracted in the first step of a bundle: costs become relative to the least before the last step of the
    // bundle before.
    W surplus = S::set1_word(0);
    const W none = surplus;
    const Index level_size = static_cast<Index>(plan.levels.size()) * kLanes;
    std::int16_t* choices = memory.choices.data();
    for (Index s = 0; s < run.steps; s += plan.bundle) {
      for (Index i = 0; i < plan.bundle; ++i) {
        weigh_levels(plan, run, s + i, lane, units, i == 0 ? surplus : none, memory.levels.data() + i * level_size);
      }
      const TrellisPlan::Bundle& bundle = plan.bundle_of(run.first_step + s);
      // As many parts at a time as the first cache holds beside the costs of the levels.
      const Index states = std::max(Index{1} << bundle.bits, kStatesAtATime);
      Walk walks[kMostBundle];
      for (Index i = 0; i < plan.bundle; ++i) {
        const TrellisPlan::Step& step = plan.step(run.first_step + s + i);
        walks[i].start(step, states >> step.bits, memory.costs.data(), memory.levels.data() + i * level_size,
                       choices + i * kWords * kLanes);
      }
      W least = S::set1_word(kMost);
      for (Index first = 0; first < TrellisGeometry::kStates; first += states) {
        for (Index i = 0; i + 1 < plan.bundle; ++i) take_step(walks[i], marks);
        least = S::min_words(least, take_step(walks[plan.bundle - 1], marks));
      }
      choices += plan.bundle * kWords * kLanes;
      surplus = S::sub_words(least, S::set1_word(kLeast));
    }
  }

  /// The square of what a distance of one level is multiplied by, over the weight.
  SINQ_TARGET static void find_units(const TrellisPlan& plan, const TrellisRun& run, Index lane,
                                     float* units) noexcept {
    for (Index i = 0; i < kLanes; i += S::kWidth) {
      // Of those that count: what is padding says nothing of the others.
      F sum = S::zero(), count = S::zero();
      for (Index s = 0; s < run.steps; ++s) {
        const F weight = S::load(run.weights + s * kRunLanes + lane + i);
        sum = S::add(sum, weight);
        count = S::add(count, S::select(S::less(S::zero(), weight), S::set1(1.0F), S::zero()));
      }
      const auto some = S::less(S::set1(1e-30F), sum);
      const F whole = S::mul(S::set1(plan.unit), count);
      S::store(units + i, S::select(some, S::div(whole, S::select(some, sum, S::set1(1.0F))), S::zero()));
    }
  }

  /// What each level costs in step `s` of the run, less the surplus: the square of its distance from the target.
  SINQ_TARGET static void weigh_levels(const TrellisPlan& plan, const TrellisRun& run, Index s, Index lane,
                                       const float* units, W surplus, std::int16_t* out) noexcept {
    alignas(64) std::int16_t target[kLanes], multiplier[kLanes], bound[kLanes];
    const float scale = 65536.0F / (64.0F * static_cast<float>(1 << plan.target_shift));
    const F lowest = S::set1(plan.levels.front()), highest = S::set1(plan.levels.back());
    for (Index i = 0; i < kLanes; i += S::kWidth) {
      const Index at = s * kRunLanes + lane + i;
      const F factor =
          S::min(S::sqrt(S::mul(S::load(run.weights + at), S::load(units + i))), S::set1(plan.most_multiplier));
      // Beyond this distance, in 64ths of a level, all are alike.
      const F far = S::min(S::div(S::set1(64.0F * plan.most_root), S::max(factor, S::set1(1e-3F))),
                           S::set1(static_cast<float>(65535 >> plan.target_shift)));
      const F reach = S::mul(S::min(far, S::set1(32000.0F)), S::set1(0.5F));
      const F x = S::mul(S::load(run.targets + at), S::set1(64.0F));
      S::store_rounded_words(target + i, S::min(S::max(x, S::sub(lowest, reach)), S::add(highest, reach)));
      S::store_rounded_words(multiplier + i, S::mul(factor, S::set1(scale)));
      S::store_rounded_words(bound + i, S::min(far, S::set1(32767.0F)));
    }
    const W x = S::load_words(target), factor = S::load_words(multiplier), far = S::load_words(bound);
    for (const std::int16_t level : plan.levels) {
      const W distance = S::min_words(S::abs_words(S::sub_words(x, S::set1_word(level))), far);
      const W root = S::mul_high_words(S::shift_words(distance, plan.target_shift), factor);
      S::store_words(out, S::sub_words(S::mul_high_words(root, root), surplus));
      out += kLanes;
    }
  }

  /// The least of the members of a group below node kNode of its tree, marking the choices on the way.
  template <int kNode, int kMembers>
  SINQ_TARGET static inline W least_below(std::int16_t* const* member, Index first, const std::int16_t* marks,
                                          W* words) noexcept {
    if constexpr (kNode >= kMembers) {
      return S::load_words(member[kNode - kMembers] + first);
    } else {
      const W a = least_below<2 * kNode, kMembers>(member, first, marks, words);
      const W b = least_below<2 * kNode + 1, kMembers>(member, first, marks, words);
      W& word = words[kNode / 16];
      word = S::mark_less(word, b, a, S::load_words(marks + kNode % 16 * kLanes));
      return S::min_words(a, b);
    }
  }

  static constexpr int kMostBundle = 4;
  static constexpr Index kStatesAtATime = 128;
  static constexpr int kMostMembers = 32;

  /// Where a step has come to.
  struct Walk {
    int bits;
    Index count;  ///< groups at a time
    const std::uint16_t* group;
    const std::uint16_t* row;    ///< of the table of levels, for every member
    const std::int16_t* levels;  ///< what they cost
    std::int16_t* choices;
    std::int16_t* member[kMostMembers];

    void start(const TrellisPlan::Step& step, Index groups, std::int16_t* costs, const std::int16_t* level_costs,
               std::int16_t* to) noexcept {
      bits = step.bits;
      count = groups;
      group = step.groups.data();
      row = step.levels.data();
      levels = level_costs;
      choices = to;
      for (std::uint32_t i = 0; i < std::uint32_t{1} << bits; ++i) {
        member[i] = costs + TrellisPlan::slot(TrellisPlan::rotate(i, step.low)) * kLanes;
      }
    }
  };

  /// One step of some parts in place; the least cost before it is returned.
  SINQ_TARGET static W take_step(Walk& walk, const std::int16_t* marks) noexcept {
    switch (walk.bits) {
      case 1:
        return take_step<1>(walk, marks);
      case 2:
        return take_step<2>(walk, marks);
      case 3:
        return take_step<3>(walk, marks);
      case 4:
        return take_step<4>(walk, marks);
      default:
        return take_step<5>(walk, marks);
    }
  }

  template <int kBits>
  SINQ_TARGET static W take_step(Walk& walk, const std::int16_t* marks) noexcept {
    constexpr int kMembers = 1 << kBits;
    constexpr int kGroups = kMembers < 16 ? 16 / kMembers : 1;  // that share words
    constexpr int kOwnWords = kMembers < 16 ? 1 : kMembers / 16;
    // Locals, which no store of costs can change.
    std::int16_t* member[std::size_t{kMembers}];
    SINQ_UNROLL
    for (int m = 0; m < kMembers; ++m) member[m] = walk.member[m];
    const std::uint16_t* group = walk.group;
    const std::uint16_t* const end = group + walk.count;
    const std::uint16_t* row = walk.row;
    const std::int16_t* const levels = walk.levels;
    std::int16_t* choices = walk.choices;
    W least_of_all = S::set1_word(kMost);
    while (group != end) {
      W words[std::size_t{kOwnWords}];
      for (W& word : words) word = S::set1_word(0);
      for (int i = 0; i < kGroups; ++i) {
        const Index first = *group++ * kLanes;
        const W least = least_below<1, kMembers>(member, first, marks + i * kMembers * kLanes, words);
        least_of_all = S::min_words(least_of_all, least);
        SINQ_UNROLL
        for (int m = 0; m < kMembers; ++m) {
          S::store_words(member[m] + first, S::add_words(least, S::load_words(levels + row[m])));
        }
        row += kMembers;
      }
      for (const W word : words) {
        S::store_words(choices, word);
        choices += kLanes;
      }
    }
    walk.group = group;
    walk.row = row;
    walk.choices = choices;
    return least_of_all;
  }

  /// The index of the best state behind the last step, of those that the run may end with.
  SINQ_TARGET static void find_last(const TrellisPlan& plan, const TrellisRun& run, Index lane,
                                    const std::int16_t* costs, std::uint32_t* last) noexcept {
    if (run.end != nullptr) {
      const TrellisPlan::Step& behind = plan.step(run.first_step + run.steps);
      for (Index i = 0; i < kLanes; ++i) {
        int least = kMost + 1;
        for (std::uint32_t bits = 0; bits < std::uint32_t{1} << behind.bits; ++bits) {
          const std::uint32_t kept = run.end[lane + i] & ((1U << (kWindowBits - behind.bits)) - 1U);
          const std::uint32_t window = kept | bits << (kWindowBits - behind.bits);
          const std::uint32_t index = TrellisPlan::rotate(window, (behind.low + behind.bits) % kWindowBits);
          const int cost = costs[TrellisPlan::slot(index) * kLanes + i];
          if (cost >= least) continue;
          least = cost;
          last[i] = index;
        }
      }
      return;
    }
    // The least of every 64 states, then the first such state.
    constexpr std::uint32_t kBlock = 64, kBlocks = TrellisGeometry::kStates / kBlock;
    alignas(64) std::int16_t least[kBlocks * kLanes];
    for (std::uint32_t b = 0; b < kBlocks; ++b) {
      W of_block = S::set1_word(kMost);
      const std::int16_t* from = costs + TrellisPlan::slot(b * kBlock) * kLanes;
      for (std::uint32_t k = 0; k < kBlock; ++k) of_block = S::min_words(of_block, S::load_words(from + k * kLanes));
      S::store_words(least + b * kLanes, of_block);
    }
    for (Index i = 0; i < kLanes; ++i) {
      std::uint32_t block = 0;
      for (std::uint32_t b = 1; b < kBlocks; ++b) block = least[b * kLanes + i] < least[block * kLanes + i] ? b : block;
      std::uint32_t index = block * kBlock;
      while (costs[TrellisPlan::slot(index) * kLanes + i] != least[block * kLanes + i]) ++index;
      last[i] = index;
    }
  }

  /// From the last state to the first, the lanes by turns, whose memory is asked for at the same time.
  static void trace_back(const TrellisPlan& plan, const TrellisRun& run, Index lane, const std::int16_t* choices,
                         std::uint32_t* state, std::uint16_t* windows) noexcept {
    for (Index s = run.steps - 1; s >= 0; --s) {
      const TrellisPlan::Step& step = plan.step(run.first_step + s);
      const TrellisPlan::Bundle& bundle = plan.bundle_of(run.first_step + s);
      const std::uint32_t members = 1U << step.bits, own = TrellisPlan::rotate(members - 1, step.low);
      const std::int16_t* from = choices + s * kWords * kLanes;
      const bool wanted = s < run.commit;
      for (Index i = 0; i < kLanes; ++i) {
        const std::uint32_t index = state[i];
        if (wanted) {
          windows[s * kRunLanes + lane + i] =
              static_cast<std::uint16_t>(TrellisPlan::rotate(index, (kWindowBits - step.low) % kWindowBits));
        }
        const std::uint32_t tree = bundle.group_of(step, index) << step.bits;
        std::uint32_t node = 1;
        while (node < members) {
          const std::uint32_t at = tree + node;
          const auto word = static_cast<std::uint16_t>(from[static_cast<Index>(at / 16) * kLanes + i]);
          node = 2 * node + (word >> (at % 16) & 1U);
        }
        const std::uint32_t choice = node - members;
        state[i] = (index & ~own) | TrellisPlan::rotate(choice, step.low);
      }
    }
  }
};

}  // namespace sinq::inline SINQ_ABI::detail

#endif
