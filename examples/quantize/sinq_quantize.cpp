#include "quantize/program.hpp"

#include <iostream>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

int main(int argc, char** argv) {
#if defined(__GLIBC__)
  // Large blocks go back to the system when they are freed; else the memory of finished tensors piles up.
  mallopt(M_MMAP_THRESHOLD, 1 << 20);
#endif
  return convert::run_program({argv + 1, argv + argc}, std::cout, std::cerr);
}
