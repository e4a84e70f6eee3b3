// Compiled once per instruction set by trellis_search.hpp.
#ifdef SINQ_ISA

namespace sinq::inline SINQ_ABI::detail {

template <>
struct TrellisViterbi<SINQ_ISA> {
  using S = Simd<SINQ_ISA>;
  using F = S::F;
  using W = S::W;
  static constexpr int kWindowBits = TrellisGeometry::kWindowBits;
  static constexpr Index kLanes = S::kWords;
  static constexpr Index kRunLanes = TrellisRun::kLanes;

  /// A run of at most TrellisSearch::kMostSteps.
  static void search(const TrellisPlan& plan, const TrellisRun& run, std::uint16_t* windows, TrellisMemory& memory) {
    // Never less: what grows again is written again.
    const auto provide = [](auto& vector, Index size) {
      if (vector.size() < static_cast<std::size_t>(size)) vector.resize(static_cast<std::size_t>(size));
    };
    provide(memory.costs, 2 * TrellisPlan::kSlots * kLanes);
    provide(memory.levels, static_cast<Index>(plan.levels.size()) * kLanes);
    provide(memory.choices, run.steps * kWords * kLanes);
    for (Index lane = 0; lane < kRunLanes; lane += kLanes) {
      begin(plan, run, lane, memory.costs.data());
      const std::int16_t* costs = go_forward(plan, run, lane, memory);
      std::uint32_t last[kLanes];
      find_last(plan, run, lane, costs, last);
      trace_back(plan, run, lane, memory.choices.data(), last, windows);
    }
  }

 private:
  /// Words of 16 choices that a step takes: choice n * 2^next_bits + i is that of node i of state n, the nodes of a
  /// tree of comparisons numbered from 1 on, the children of i being 2 i and 2 i + 1; 1 where the second one is less.
  static constexpr Index kWords = TrellisGeometry::kStates / 16;

  /// Costs are kept relative to this.
  static constexpr std::int16_t kLeast = -32768, kMost = 32767;

  /// The costs before the first step: none for what may be, out of reach for all else.
  SINQ_TARGET static void begin(const TrellisPlan& plan, const TrellisRun& run, Index lane,
                                std::int16_t* costs) noexcept {
    const std::uint32_t states = plan.step(run.first_step).states_before();
    const W cost = S::set1_word(run.start == nullptr ? kLeast : kMost);
    for (std::uint32_t state = 0; state < states; ++state) {
      S::store_words(costs + TrellisPlan::slot(state) * kLanes, cost);
    }
    if (run.start == nullptr) return;
    for (Index i = 0; i < kLanes; ++i) {
      costs[TrellisPlan::slot(run.start[lane + i] & (states - 1)) * kLanes + i] = kLeast;
    }
  }

  /// Returns the costs behind the last step.
  SINQ_TARGET static const std::int16_t* go_forward(const TrellisPlan& plan, const TrellisRun& run, Index lane,
                                                    TrellisMemory& memory) noexcept {
    alignas(64) std::int16_t marks[16 * kLanes];
    for (int i = 0; i < 16; ++i) S::store_words(marks + i * kLanes, S::set1_word(static_cast<std::int16_t>(1U << i)));
    alignas(64) float units[kLanes];
    find_units(plan, run, lane, units);
    std::int16_t* before = memory.costs.data();
    std::int16_t* behind = before + TrellisPlan::kSlots * kLanes;
    // What costs grow by is subtracted one step later.
    W surplus = S::set1_word(0);
    for (Index s = 0; s < run.steps; ++s) {
      weigh_levels(plan, run, s, lane, units, surplus, memory.levels.data());
      const W least = take_step(Task{.step = plan.step(run.first_step + s),
                                     .before = before,
                                     .levels = memory.levels.data(),
                                     .behind = behind,
                                     .choices = memory.choices.data() + s * kWords * kLanes,
                                     .marks = marks});
      surplus = S::sub_words(least, S::set1_word(kLeast));
      std::swap(before, behind);
    }
    return before;
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

  /// The least of what leads to a state, below node kNode of the tree, marking the choices on the way.
  template <int kNode, int kMembers>
  SINQ_TARGET static inline W least_below(const W* costs, const std::uint16_t* row, const std::int16_t* levels,
                                          const std::int16_t* marks, W* words) noexcept {
    if constexpr (kNode >= kMembers) {
      return S::add_words(costs[kNode - kMembers], S::load_words(levels + row[kNode - kMembers]));
    } else {
      const W a = least_below<2 * kNode, kMembers>(costs, row, levels, marks, words);
      const W b = least_below<2 * kNode + 1, kMembers>(costs, row, levels, marks, words);
      W& word = words[kNode / 16];
      word = S::mark_less(word, b, a, S::load_words(marks + kNode % 16 * kLanes));
      return S::min_words(a, b);
    }
  }

  /// What one step works on.
  struct Task {
    const TrellisPlan::Step& step;
    const std::int16_t* before;  ///< costs of states
    const std::int16_t* levels;  ///< what they cost
    std::int16_t* behind;
    std::int16_t* choices;
    const std::int16_t* marks;
  };

  /// The least cost behind the step is returned.
  SINQ_TARGET static W take_step(const Task& task) noexcept {
    switch (task.step.next_bits) {
      case 1:
        return take_step<1>(task);
      case 2:
        return take_step<2>(task);
      case 3:
        return take_step<3>(task);
      case 4:
        return take_step<4>(task);
      default:
        return take_step<5>(task);
    }
  }

  template <int kNextBits>
  SINQ_TARGET static W take_step(const Task& task) noexcept {
    constexpr int kMembers = 1 << kNextBits;
    constexpr int kStatesOfWord = kMembers < 16 ? 16 / kMembers : 1;
    constexpr int kOwnWords = kMembers < 16 ? 1 : kMembers / 16;
    // Locals, which no store of costs can change.
    const std::uint16_t* row = task.step.levels.data();
    const std::int16_t* const levels = task.levels;
    const std::int16_t* const marks = task.marks;
    std::int16_t* choices = task.choices;
    const std::uint32_t own = std::uint32_t{1} << task.step.bits, runs = task.step.states_behind() >> task.step.bits;
    W least_of_all = S::set1_word(kMost);
    W words[std::size_t{kOwnWords}];
    for (W& word : words) word = S::set1_word(0);
    int in_word = 0;
    for (std::uint32_t run = 0; run < runs; ++run) {
      // The same states lead to all that differ in the step's own bits.
      W costs[std::size_t{kMembers}];
      SINQ_UNROLL
      for (int m = 0; m < kMembers; ++m) {
        costs[m] = S::load_words(task.before + TrellisPlan::slot(static_cast<std::uint32_t>(m) * runs + run) * kLanes);
      }
      std::int16_t* behind = task.behind + TrellisPlan::slot(run << task.step.bits) * kLanes;
      for (std::uint32_t i = 0; i < own; ++i, row += kMembers, behind += kLanes) {
        const W least = least_below<1, kMembers>(costs, row, levels, marks + in_word * kMembers * kLanes, words);
        least_of_all = S::min_words(least_of_all, least);
        S::store_words(behind, least);
        if (++in_word != kStatesOfWord) continue;
        in_word = 0;
        for (W& word : words) {
          S::store_words(choices, word);
          choices += kLanes;
          word = S::set1_word(0);
        }
      }
    }
    return least_of_all;
  }

  /// The best state behind the last step: that which the run is to end with, or the first one of least cost.
  SINQ_TARGET static void find_last(const TrellisPlan& plan, const TrellisRun& run, Index lane,
                                    const std::int16_t* costs, std::uint32_t* last) noexcept {
    const std::uint32_t states = plan.step(run.first_step + run.steps - 1).states_behind();
    for (Index i = 0; i < kLanes; ++i) last[i] = run.end == nullptr ? 0 : run.end[lane + i] & (states - 1);
    if (run.end != nullptr) return;
    // The least of every 64 states, then the first such state.
    constexpr std::uint32_t kBlock = 64;
    alignas(64) std::int16_t least[TrellisGeometry::kStates / 2 / kBlock * kLanes];
    for (std::uint32_t b = 0; b < states / kBlock; ++b) {
      W of_block = S::set1_word(kMost);
      const std::int16_t* from = costs + TrellisPlan::slot(b * kBlock) * kLanes;
      for (std::uint32_t k = 0; k < kBlock; ++k) of_block = S::min_words(of_block, S::load_words(from + k * kLanes));
      S::store_words(least + b * kLanes, of_block);
    }
    for (Index i = 0; i < kLanes; ++i) {
      std::uint32_t block = 0;
      for (std::uint32_t b = 1; b < states / kBlock; ++b) {
        block = least[b * kLanes + i] < least[block * kLanes + i] ? b : block;
      }
      last[i] = block * kBlock;
      while (costs[TrellisPlan::slot(last[i]) * kLanes + i] != least[block * kLanes + i]) ++last[i];
    }
  }

  /// From the last state to the first, the lanes by turns, whose memory is asked for at the same time.
  static void trace_back(const TrellisPlan& plan, const TrellisRun& run, Index lane, const std::int16_t* choices,
                         std::uint32_t* state, std::uint16_t* windows) noexcept {
    std::uint16_t window[kLanes];
    for (Index s = run.steps - 1; s >= 0; --s) {
      const TrellisPlan::Step& step = plan.step(run.first_step + s);
      const std::int16_t* from = choices + s * kWords * kLanes;
      switch (step.next_bits) {
        case 1:
          trace_step<1>(step, from, state, window);
          break;
        case 2:
          trace_step<2>(step, from, state, window);
          break;
        case 3:
          trace_step<3>(step, from, state, window);
          break;
        case 4:
          trace_step<4>(step, from, state, window);
          break;
        default:
          trace_step<5>(step, from, state, window);
      }
      if (s < run.commit) std::copy_n(window, kLanes, windows + s * kRunLanes + lane);
    }
  }

  template <int kNextBits>
  static void trace_step(const TrellisPlan::Step& step, const std::int16_t* choices, std::uint32_t* state,
                         std::uint16_t* window) noexcept {
    constexpr std::uint32_t kMembers = 1U << kNextBits;
    for (Index i = 0; i < kLanes; ++i) {
      const std::uint32_t tree = state[i] << kNextBits;
      std::uint32_t node = 1;
      SINQ_UNROLL
      for (int level = 0; level < kNextBits; ++level) {
        const std::uint32_t at = tree + node;
        const auto word = static_cast<std::uint16_t>(choices[static_cast<Index>(at / 16) * kLanes + i]);
        node = 2 * node + (word >> (at % 16) & 1U);
      }
      const std::uint32_t whole = (node - kMembers) << (kWindowBits - kNextBits) | state[i];
      window[i] = static_cast<std::uint16_t>(whole);
      state[i] = whole >> step.bits;
    }
  }
};

}  // namespace sinq::inline SINQ_ABI::detail

#endif
