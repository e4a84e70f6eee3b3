#include "everything.hpp"
#include "side.inl"

const Side kSecond{&make, &decode};
