// Folds column scales into a model: the same function, easier to quantize.

#include "fold/program.hpp"

#include <iostream>

int main(int argc, char** argv) { return fold_program::run_program({argv + 1, argv + argc}, std::cout, std::cerr); }
