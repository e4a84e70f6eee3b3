// A Hugging Face folder becomes a GGUF file for llama.cpp, quantized by sinq's encoders, column scales folded in.

#include "gguf/program.hpp"

#include <iostream>

int main(int argc, char** argv) { return gguf::run_program({argv + 1, argv + argc}, std::cout, std::cerr); }
