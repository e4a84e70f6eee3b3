// Compiled once per instruction set by trellis_search.hpp.
#ifdef SINQ_ISA

namespace sinq::inline SINQ_ABI::detail {

template <>
struct TrellisViterbi<SINQ_ISA> {
  using S = Simd<SINQ_ISA>;
  using F = S::F;
  using W = S::W;

  /// A run of at most TrellisSearch::kMostSteps.
  static void search(const TrellisPlan& plan, const TrellisRun& run, std::uint16_t* windows, TrellisMemory& memory) {
    run.coarse ? search<Bytes>(plan, run, windows, memory) : search<Words>(plan, run, windows, memory);
  }

 private:
  static constexpr int kWindowBits = TrellisGeometry::kWindowBits;
  static constexpr Index kRunLanes = TrellisRun::kLanes;

  /// Costs of 16 bits, between whose ends the costs of all states lie.
  struct Words {
    using Number = std::int16_t;
    using V = W;
    static constexpr Index kLanes = S::kWords;
    static constexpr Number kLeast = -32768, kMost = 32767;
    /// So far beyond all levels a target may be: of the distance from which on all cost alike.
    static constexpr float kMargin = 0.5F;
    static const TrellisCosts& costs(const TrellisPlan& plan) noexcept { return plan.exact; }

    SINQ_TARGET static V load(const Number* p) noexcept { return S::load_words(p); }
    SINQ_TARGET static void store(Number* p, V a) noexcept { S::store_words(p, a); }
    SINQ_TARGET static V set1(int x) noexcept { return S::set1_word(static_cast<Number>(x)); }
    SINQ_TARGET static V min(V a, V b) noexcept { return S::min_words(a, b); }
    SINQ_TARGET static V add(V a, V b) noexcept { return S::add_words(a, b); }
    SINQ_TARGET static V select_less(V a, V b, V x, V y) noexcept { return S::select_less_words(a, b, x, y); }
    SINQ_TARGET static V bit_or(V a, V b) noexcept { return S::bit_or_words(a, b); }
    /// How far above kLeast.
    SINQ_TARGET static V surplus(V least) noexcept { return S::sub_words(least, set1(kLeast)); }
    /// Costs of levels can be less than none: what costs have grown by is taken from them.
    SINQ_TARGET static V of_level(const W* costs, V grown) noexcept { return S::sub_words(costs[0], grown); }
    SINQ_TARGET static V of_state(V cost, V) noexcept { return cost; }
  };

  /// Costs of 8 bits, of which those that are too great are all alike.
  struct Bytes {
    using Number = std::uint8_t;
    using V = S::B;
    static constexpr Index kLanes = S::kBytes;
    static constexpr Number kLeast = 0, kMost = 255;
    /// Of the levels near it, more are left that cost less than 255.
    static constexpr float kMargin = 0.0F;
    static const TrellisCosts& costs(const TrellisPlan& plan) noexcept { return plan.coarse; }

    SINQ_TARGET static V load(const Number* p) noexcept { return S::load_bytes(p); }
    SINQ_TARGET static void store(Number* p, V a) noexcept { S::store_bytes(p, a); }
    SINQ_TARGET static V set1(int x) noexcept { return S::set1_byte(x); }
    SINQ_TARGET static V min(V a, V b) noexcept { return S::min_bytes(a, b); }
    SINQ_TARGET static V add(V a, V b) noexcept { return S::add_clamped_bytes(a, b); }
    SINQ_TARGET static V select_less(V a, V b, V x, V y) noexcept { return S::select_less_bytes(a, b, x, y); }
    SINQ_TARGET static V bit_or(V a, V b) noexcept { return S::bit_or(a, b); }
    SINQ_TARGET static V surplus(V least) noexcept { return least; }
    SINQ_TARGET static V of_level(const W* costs, V) noexcept { return S::narrow_words(costs[0], costs[1]); }
    SINQ_TARGET static V of_state(V cost, V grown) noexcept { return S::sub_clamped_bytes(cost, grown); }
  };

  /// Which of 2^kNextBits predecessors a state has is a number of so many bits, some of which share a word.
  static constexpr int choice_bits(int next_bits) noexcept { return next_bits < 3 ? next_bits : next_bits < 5 ? 4 : 8; }
  template <class C>
  static constexpr int states_of_word(int next_bits) noexcept {
    return 8 * int{sizeof(typename C::Number)} / choice_bits(next_bits);
  }
  /// Vectors of choices that a step takes at most: with 2 or 3 bits.
  template <class C>
  static constexpr Index kChoices = TrellisGeometry::kStates / (16 * Index{sizeof(typename C::Number)});

  template <class C>
  static void search(const TrellisPlan& plan, const TrellisRun& run, std::uint16_t* windows, TrellisMemory& memory) {
    constexpr Index kLanes = C::kLanes;
    // Never less than before: what grows again is written again.
    const auto provide = [](auto& vector, Index vectors) {
      const auto bytes = static_cast<std::size_t>(vectors * S::kBytes);
      if (vector.size() < bytes) vector.resize(bytes);
      return reinterpret_cast<typename C::Number*>(vector.data());
    };
    auto* const costs = provide(memory.costs, 2 * TrellisPlan::kSlots);
    auto* const levels = provide(memory.levels, static_cast<Index>(plan.levels.size()));
    auto* const choices = provide(memory.choices, run.steps * kChoices<C>);
    for (Index lane = 0; lane < kRunLanes; lane += kLanes) {
      begin<C>(plan, run, lane, costs);
      std::uint32_t last[std::size_t{kLanes}];
      find_last<C>(plan, run, lane, go_forward<C>(plan, run, lane, costs, levels, choices), last);
      trace_back<C>(plan, run, lane, choices, last, windows);
    }
  }

  /// The costs before the first step: none for what may be, out of reach for all else.
  template <class C>
  SINQ_TARGET static void begin(const TrellisPlan& plan, const TrellisRun& run, Index lane,
                                typename C::Number* costs) noexcept {
    const std::uint32_t states = plan.step(run.first_step).states_before();
    const auto cost = C::set1(run.start == nullptr ? C::kLeast : C::kMost);
    for (std::uint32_t state = 0; state < states; ++state) {
      C::store(costs + TrellisPlan::slot(state) * C::kLanes, cost);
    }
    if (run.start == nullptr) return;
    for (Index i = 0; i < C::kLanes; ++i) {
      costs[TrellisPlan::slot(run.start[lane + i] & (states - 1)) * C::kLanes + i] = C::kLeast;
    }
  }

  /// Returns the costs behind the last step.
  template <class C, class Number = typename C::Number>
  SINQ_TARGET static const Number* go_forward(const TrellisPlan& plan, const TrellisRun& run, Index lane, Number* costs,
                                              Number* levels, Number* choices) noexcept {
    constexpr Index kLanes = C::kLanes;
    alignas(64) float units[std::size_t{kLanes}];
    find_units<C>(plan, run, lane, units);
    Number *before = costs, *behind = costs + TrellisPlan::kSlots * kLanes;
    // What costs grow by is subtracted one step later.
    auto grown = C::set1(0);
    for (Index s = 0; s < run.steps; ++s) {
      weigh_levels<C>(plan, run, s, lane, units, grown, levels);
      const Task<C> task{.step = plan.step(run.first_step + s),
                         .before = before,
                         .levels = levels,
                         .behind = behind,
                         .choices = choices + s * kChoices<C> * kLanes,
                         .grown = grown};
      grown = C::surplus(take_step<C>(task));
      std::swap(before, behind);
    }
    return before;
  }

  /// The square of what a distance of one level is multiplied by, over the weight.
  template <class C>
  SINQ_TARGET static void find_units(const TrellisPlan& plan, const TrellisRun& run, Index lane,
                                     float* units) noexcept {
    for (Index i = 0; i < C::kLanes; i += S::kWidth) {
      // Of those that count: what is padding says nothing of the others.
      F sum = S::zero(), count = S::zero();
      for (Index s = 0; s < run.steps; ++s) {
        const F weight = S::load(run.weights + s * kRunLanes + lane + i);
        sum = S::add(sum, weight);
        count = S::add(count, S::select(S::less(S::zero(), weight), S::set1(1.0F), S::zero()));
      }
      const auto some = S::less(S::set1(1e-30F), sum);
      const F whole = S::mul(S::set1(C::costs(plan).unit), count);
      S::store(units + i, S::select(some, S::div(whole, S::select(some, sum, S::set1(1.0F))), S::zero()));
    }
  }

  /// What each level costs in step `s` of the run: the square of its distance from the target.
  template <class C, class V = typename C::V>
  SINQ_TARGET static void weigh_levels(const TrellisPlan& plan, const TrellisRun& run, Index s, Index lane,
                                       const float* units, V grown, typename C::Number* out) noexcept {
    constexpr Index kLanes = C::kLanes, kParts = kLanes / S::kWords;
    const TrellisCosts& costs = C::costs(plan);
    constexpr std::size_t kSize{kLanes};
    alignas(64) std::int16_t target[kSize], multiplier[kSize], bound[kSize];
    const float scale = 65536.0F / (64.0F * static_cast<float>(1 << costs.target_shift));
    const F lowest = S::set1(plan.levels.front()), highest = S::set1(plan.levels.back());
    for (Index i = 0; i < kLanes; i += S::kWidth) {
      const Index at = s * kRunLanes + lane + i;
      const F factor =
          S::min(S::sqrt(S::mul(S::load(run.weights + at), S::load(units + i))), S::set1(costs.most_multiplier));
      // Beyond this distance, in 64ths of a level, all are alike.
      const F far = S::min(S::div(S::set1(64.0F * costs.most_root), S::max(factor, S::set1(1e-3F))),
                           S::set1(static_cast<float>(65535 >> costs.target_shift)));
      const F reach = S::mul(S::min(far, S::set1(32000.0F)), S::set1(C::kMargin));
      const F x = S::mul(S::load(run.targets + at), S::set1(64.0F));
      S::store_rounded_words(target + i, S::min(S::max(x, S::sub(lowest, reach)), S::add(highest, reach)));
      S::store_rounded_words(multiplier + i, S::mul(factor, S::set1(scale)));
      S::store_rounded_words(bound + i, S::min(far, S::set1(32767.0F)));
    }
    W x[std::size_t{kParts}], factor[std::size_t{kParts}], far[std::size_t{kParts}], cost[std::size_t{kParts}];
    for (Index i = 0; i < kParts; ++i) {
      x[i] = S::load_words(target + i * S::kWords);
      factor[i] = S::load_words(multiplier + i * S::kWords);
      far[i] = S::load_words(bound + i * S::kWords);
    }
    // Costs of 8 bits must not come to their end where a run begins or ends with a given state: one that cannot be
    // would be as good. While a state is filled, they add up to less.
    const bool near_end =
        (run.start != nullptr && s < plan.reach) || (run.end != nullptr && s >= run.steps - plan.reach);
    const W most = S::set1_word(static_cast<std::int16_t>(near_end ? 255 / (plan.reach + 1) : 255));
    for (const std::int16_t level : plan.levels) {
      for (Index i = 0; i < kParts; ++i) {
        const W distance = S::min_words(S::abs_words(S::sub_words(x[i], S::set1_word(level))), far[i]);
        const W root = S::mul_high_words(S::shift_words(distance, costs.target_shift), factor[i]);
        cost[i] = S::mul_high_words(root, root);
        if constexpr (std::is_same_v<C, Bytes>) cost[i] = S::min_words(cost[i], most);
      }
      C::store(out, C::of_level(cost, grown));
      out += kLanes;
    }
  }

  /// What one step works on.
  template <class C>
  struct Task {
    const TrellisPlan::Step& step;
    const typename C::Number* before;  ///< costs of states
    const typename C::Number* levels;  ///< what they cost
    typename C::Number* behind;
    typename C::Number* choices;
    typename C::V grown;  ///< by so much costs have
  };

  /// The least cost behind the step is returned.
  template <class C>
  SINQ_TARGET static typename C::V take_step(const Task<C>& task) noexcept {
    switch (task.step.next_bits) {
      case 1:
        return take_step<C, 1>(task);
      case 2:
        return take_step<C, 2>(task);
      case 3:
        return take_step<C, 3>(task);
      case 4:
        return take_step<C, 4>(task);
      default:
        return take_step<C, 5>(task);
    }
  }

  template <class C, int kNextBits, class V = typename C::V, class Number = typename C::Number>
  SINQ_TARGET static V take_step(const Task<C>& task) noexcept {
    constexpr Index kLanes = C::kLanes;
    constexpr int kMembers = 1 << kNextBits, kTogether = states_of_word<C>(kNextBits);
    // Each predecessor's number, where the first state of a word has it, the second one, ...
    alignas(64) Number numbers[std::size_t{kTogether * kMembers * kLanes}];
    for (int i = 0; i < kTogether; ++i) {
      for (int m = 0; m < kMembers; ++m) {
        C::store(numbers + (i * kMembers + m) * kLanes, C::set1(m << i * choice_bits(kNextBits)));
      }
    }
    // Locals, which no store of costs can change.
    const std::uint16_t* row = task.step.levels.data();
    const auto* const levels = reinterpret_cast<const std::byte*>(task.levels);
    Number* choices = task.choices;
    const std::uint32_t own = std::uint32_t{1} << task.step.bits, runs = task.step.states_behind() >> task.step.bits;
    V least_of_all = C::set1(C::kMost), word = C::set1(0);
    int in_word = 0;
    for (std::uint32_t run = 0; run < runs; ++run) {
      // The same states lead to all that differ in the step's own bits.
      V costs[std::size_t{kMembers}];
      SINQ_UNROLL
      for (int m = 0; m < kMembers; ++m) {
        const std::uint32_t slot = TrellisPlan::slot(static_cast<std::uint32_t>(m) * runs + run);
        costs[m] = C::of_state(C::load(task.before + slot * kLanes), task.grown);
      }
      Number* behind = task.behind + TrellisPlan::slot(run << task.step.bits) * kLanes;
      for (std::uint32_t i = 0; i < own; ++i, row += kMembers, behind += kLanes) {
        const auto cost = [&](int m) SINQ_TARGET {
          return C::add(costs[m], C::load(reinterpret_cast<const Number*>(levels + row[m])));
        };
        const Number* const number = numbers + in_word * kMembers * kLanes;
        V least = cost(0), choice = C::set1(0);
        SINQ_UNROLL
        for (int m = 1; m < kMembers; ++m) {
          const V other = cost(m);
          choice = C::select_less(other, least, C::load(number + m * kLanes), choice);
          least = C::min(other, least);
        }
        word = C::bit_or(word, choice);
        least_of_all = C::min(least_of_all, least);
        C::store(behind, least);
        if (++in_word != kTogether) continue;
        in_word = 0;
        C::store(choices, word);
        choices += kLanes;
        word = C::set1(0);
      }
    }
    return least_of_all;
  }

  /// The best state behind the last step: that which the run is to end with, or the first one of least cost.
  template <class C, class Number = typename C::Number>
  SINQ_TARGET static void find_last(const TrellisPlan& plan, const TrellisRun& run, Index lane, const Number* costs,
                                    std::uint32_t* last) noexcept {
    constexpr Index kLanes = C::kLanes;
    const std::uint32_t states = plan.step(run.first_step + run.steps - 1).states_behind();
    if (run.end != nullptr) {
      for (Index i = 0; i < kLanes; ++i) last[i] = run.end[lane + i] & (states - 1);
      return;
    }
    // The least of every 64 states, then the first such state.
    constexpr std::uint32_t kBlock = 64;
    alignas(64) Number least[std::size_t{TrellisGeometry::kStates / 2 / kBlock * kLanes}];
    for (std::uint32_t b = 0; b < states / kBlock; ++b) {
      auto of_block = C::set1(C::kMost);
      const Number* from = costs + TrellisPlan::slot(b * kBlock) * kLanes;
      for (std::uint32_t k = 0; k < kBlock; ++k) of_block = C::min(of_block, C::load(from + k * kLanes));
      C::store(least + b * kLanes, of_block);
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
  template <class C, class Number = typename C::Number>
  static void trace_back(const TrellisPlan& plan, const TrellisRun& run, Index lane, const Number* choices,
                         std::uint32_t* state, std::uint16_t* windows) noexcept {
    for (Index s = run.steps - 1; s >= 0; --s) {
      const TrellisPlan::Step& step = plan.step(run.first_step + s);
      const Number* from = choices + s * kChoices<C> * C::kLanes;
      const auto together = static_cast<std::uint32_t>(states_of_word<C>(step.next_bits));
      const auto bits = static_cast<std::uint32_t>(choice_bits(step.next_bits));
      const int word_shift = std::countr_zero(together), high = kWindowBits - step.next_bits;
      for (Index i = 0; i < C::kLanes; ++i) {
        const auto word =
            static_cast<std::make_unsigned_t<Number>>(from[static_cast<Index>(state[i] >> word_shift) * C::kLanes + i]);
        const std::uint32_t choice =
            std::uint32_t{word} >> (state[i] & (together - 1)) * bits & ((1U << step.next_bits) - 1U);
        const std::uint32_t window = choice << high | state[i];
        if (s < run.commit) windows[s * kRunLanes + lane + i] = static_cast<std::uint16_t>(window);
        state[i] = window >> step.bits;
      }
    }
  }
};

}  // namespace sinq::inline SINQ_ABI::detail

#endif
