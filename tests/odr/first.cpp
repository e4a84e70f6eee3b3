#include "everything.hpp"
#include "side.inl"

const Side kFirst{&make, &decode};
