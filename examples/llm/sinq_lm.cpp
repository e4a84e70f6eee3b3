// What does quantization do to your model? Perplexity, KL divergence, generated text, errors layer by layer.

#include "llm/program.hpp"

#include <iostream>

int main(int argc, char** argv) { return llm::run_program({argv + 1, argv + argc}, std::cout, std::cerr); }
